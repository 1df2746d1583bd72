"""Adversarial training: cross-entropy on the worst images within a budget for each pixel.

Madry, Makelov, Schmidt, Tsipras and Vladu (2018), Towards Deep Learning Models Resistant to
Adversarial Attacks, https://arxiv.org/abs/1706.06083.

    E CE(F(x*), y),   x* = argmax over |x*_p - x_p| <= epsilon of CE(F(x*), y)

The attack begins at a uniform point of the box and takes steps along the sign of the gradient. No
certificate follows. In `rszoo.methods.part` each pixel has a budget of its own.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rszoo.methods._attacks import ascend_images_linf, frozen
from rszoo.methods._weights import Copies, Positive

__all__ = ["loss", "loss_within"]

#: The noise level is 0.
TRAINS = "standard"

#: The loss is the same at any `progress`.
STEADY = True


def loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    progress: float,
    epsilon: Positive = 8 / 255,
    attack_steps: Copies = 10,
    step_size: Positive = 2 / 255,
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`.

    Args:
        epsilon: most that each pixel is changed by, on the scale of [0, 1].
        attack_steps: gradient steps of the attack, from 1.
        step_size: what a step changes each pixel by.
    """
    del sigma, progress
    budget = torch.full_like(x, epsilon)
    return loss_within(
        model, x, y, budget, epsilon=epsilon, attack_steps=attack_steps, step_size=step_size
    )


def loss_within(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    budget: Tensor,
    *,
    epsilon: float,
    attack_steps: int,
    step_size: float,
) -> Tensor:
    """Return the loss with a budget for each pixel, `[B, C, H, W]`, from a start in epsilon."""
    with frozen(model) as attacked:
        moved = ascend_images_linf(
            lambda points: F.cross_entropy(attacked(points).float(), y, reduction="sum"),
            x,
            start=x + epsilon * (2 * torch.rand_like(x) - 1),
            steps=attack_steps,
            step_size=step_size,
            budget=budget,
        )
    return F.cross_entropy(model(moved).float(), y)

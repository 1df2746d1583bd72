"""TRADES: cross-entropy on the images, and a penalty for predictions that an attack changes.

Zhang, Yu, Jiao, Xing, El Ghaoui and Jordan (2019), Theoretically Principled Trade-off between
Robustness and Accuracy, https://arxiv.org/abs/1901.08573, equation 5, and the authors' code,
https://github.com/yaodongyu/TRADES.

    E CE(F(x), y) + beta KL(F(x) || F(x*)),   x* = argmax over |x*_p - x_p| <= epsilon of that KL

The attack begins 0.001 N(0, 1) from x, where the KL is 0 and flat. The gradient reaches both sides
of the penalty. The authors' code passes x twice, so that batch statistics see it twice; ours once.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rszoo.methods._attacks import ascend_images_linf, frozen
from rszoo.methods._copies import divergence
from rszoo.methods._weights import Copies, NonNegative, Positive

__all__ = ["SPREAD", "loss", "loss_within"]

#: The noise level is 0.
TRAINS = "standard"

#: Standard deviation of the attack's start around the image.
SPREAD = 0.001

#: The loss is the same at any `progress`.
STEADY = True


def loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    progress: float,
    beta: NonNegative = 6.0,
    epsilon: Positive = 8 / 255,
    attack_steps: Copies = 10,
    step_size: Positive = 2 / 255,
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`.

    Args:
        beta: weight of the penalty, 1 / lambda in the paper.
        epsilon: most that each pixel is changed by, on the scale of [0, 1].
        attack_steps: gradient steps of the attack, from 1.
        step_size: what a step changes each pixel by.
    """
    del sigma, progress
    budget = torch.full_like(x, epsilon)
    return loss_within(
        model, x, y, budget, beta=beta, attack_steps=attack_steps, step_size=step_size
    )


def loss_within(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    budget: Tensor,
    *,
    beta: float,
    attack_steps: int,
    step_size: float,
) -> Tensor:
    """Return the loss with a budget for each pixel, `[B, C, H, W]`."""
    with frozen(model) as attacked:
        clean = attacked(x).float().log_softmax(1).detach()
        moved = ascend_images_linf(
            lambda points: divergence(clean, attacked(points).float().log_softmax(1)).sum(),
            x,
            start=x + SPREAD * torch.randn_like(x),
            steps=attack_steps,
            step_size=step_size,
            budget=budget,
        )
    logits = model(x).float()
    changed = divergence(logits.log_softmax(1), model(moved).float().log_softmax(1))
    return F.cross_entropy(logits, y) + beta * changed.mean()

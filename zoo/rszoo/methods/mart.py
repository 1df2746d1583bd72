"""MART: adversarial training that heeds the images most which are misclassified already.

Wang, Zou, Yi, Bailey, Ma and Gu (2020), Improving Adversarial Robustness Requires Revisiting
Misclassified Examples, https://openreview.net/forum?id=rklOg6EFwS, and the authors' code,
https://github.com/YisenWang/MART.

    E BCE(F(x*), y) + beta KL(F(x) || F(x*)) (1 - F_y(x))
    BCE(p, y) = -log p_y - log(1.0001 - max over c != y of p_c)

x* is found as in adversarial training, from a start 0.001 N(0, 1) from x. Logarithms of
probabilities are taken in the log domain; the authors add 1e-12 to the probabilities.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rszoo.methods._attacks import ascend_images_linf, frozen
from rszoo.methods._copies import divergence
from rszoo.methods._weights import Copies, NonNegative, Positive
from rszoo.methods.trades import SPREAD

__all__ = ["loss", "loss_within"]

#: The noise level is 0.
TRAINS = "standard"

# So that the logarithm is finite where another class is certain.
_ABOVE_ONE = 1.0001

#: The loss is the same at any `progress`.
STEADY = True


def loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    progress: float,
    beta: NonNegative = 5.0,
    epsilon: Positive = 8 / 255,
    attack_steps: Copies = 10,
    step_size: Positive = 2 / 255,
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`.

    Args:
        beta: weight of the second term, lambda in the paper.
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
        moved = ascend_images_linf(
            lambda points: F.cross_entropy(attacked(points).float(), y, reduction="sum"),
            x,
            start=x + SPREAD * torch.randn_like(x),
            steps=attack_steps,
            step_size=step_size,
            budget=budget,
        )
    index = y.unsqueeze(1)
    clean, attacked = model(x).float().log_softmax(1), model(moved).float().log_softmax(1)
    others = attacked.exp().scatter(1, index, -1.0).amax(1)
    mistake = -attacked.gather(1, index).squeeze(1) - (_ABOVE_ONE - others).log()
    doubt = 1 - clean.gather(1, index).squeeze(1).exp()
    return (mistake + beta * divergence(clean, attacked) * doubt).mean()

"""PART: adversarial training with a smaller budget for the pixels that matter less.

Zhang, Liu, Zhou, Zhang and Liu (2024), Improving Accuracy-robustness Trade-off via Pixel
Reweighted Adversarial Training, https://arxiv.org/abs/2406.00685, and the authors' code,
https://github.com/JiachengZ01/PART.

    budget_p = epsilon where pixel p is important, epsilon_low elsewhere

A pixel is important where the class-activation map of the image, for the class that the network
predicts, is more than a standard deviation above its mean. What the budgets are for is one of
adversarial training ("sat"), TRADES and MART. During the warm-up all pixels have epsilon, which
is plain training of that variant. No certificate follows.

We make the maps of the very images that are attacked, right before the attack. The authors' code
makes them once per epoch, in another shuffled and augmented pass over the images, and so gives
maps to images that are not theirs. Their maps are coloured, too: see `colour_map`.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from rszoo.errors import RszooError
from rszoo.methods import adversarial, mart, trades
from rszoo.methods._cam import Cam, activation_map, important, important_in_jet
from rszoo.methods._weights import Copies, NonNegative, Positive, Share

__all__ = ["budgets", "loss", "phase"]

#: The noise level is 0.
TRAINS = "standard"


def loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    progress: float,
    variant: Literal["sat", "trades", "mart"] = "sat",
    epsilon: Positive = 8 / 255,
    epsilon_low: NonNegative = 7 / 255,
    attack_steps: Copies = 10,
    step_size: Positive = 2 / 255,
    warmup: Share = 0.25,
    beta: NonNegative = 6.0,
    cam: Cam = "grad_cam",
    colour_map: Literal["none", "jet"] = "none",
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`.

    Args:
        variant: "sat", `rszoo.methods.adversarial`, or the method of that name.
        epsilon: most that an important pixel is changed by, on the scale of [0, 1].
        epsilon_low: most that any other pixel is changed by.
        attack_steps: gradient steps of the attack, from 1.
        step_size: what a step changes each pixel by.
        warmup: share of the training, from its start, in which all pixels have epsilon.
        beta: of "trades" and "mart".
        cam: how the map is made: Grad-CAM, XGrad-CAM or LayerCAM.
        colour_map: "jet" has the budgets of the authors' code, which differ by colour channel.
    """
    del sigma
    budget = torch.full_like(x, epsilon)
    if phase(progress, warmup=warmup):
        budget = budgets(
            model, x, epsilon=epsilon, epsilon_low=epsilon_low, cam=cam, colour_map=colour_map
        )
    attack = {"attack_steps": attack_steps, "step_size": step_size}
    if variant == "sat":
        return adversarial.loss_within(model, x, y, budget, epsilon=epsilon, **attack)
    loss_within = trades.loss_within if variant == "trades" else mart.loss_within
    return loss_within(model, x, y, budget, beta=beta, **attack)


def phase(progress: float, *, warmup: float) -> bool:
    """Return whether pixels have budgets of their own by now."""
    return progress > warmup


def budgets(
    model: nn.Module,
    x: Tensor,
    *,
    epsilon: float,
    epsilon_low: float,
    cam: Cam = "grad_cam",
    colour_map: Literal["none", "jet"] = "none",
) -> Tensor:
    """Return the budget of each pixel of images `x` `[B, C, H, W]`, of that shape.

    Raises:
        RszooError: the network has no feature maps, or jet is asked for other than colour images.
    """
    maps, size = activation_map(model, x, cam=cam), x.shape[2:]
    if colour_map == "none":
        marked = important(maps, size)
    elif x.shape[1] == 3:
        marked = important_in_jet(maps, size)
    else:
        raise RszooError(
            f"expected images of three channels for colour_map 'jet', got {x.shape[1]}; choose "
            "'none'"
        )
    low = torch.full_like(x, epsilon_low)
    return torch.where(marked, torch.full_like(x, epsilon), low)

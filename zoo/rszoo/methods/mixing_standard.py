"""The weight of a mix without noise: attacked images go to an adversarially trained network.

Bai, Mo, Lee and Sojoudi (2024), Improving the Accuracy-Robustness Trade-Off of Classifiers via
Adaptive Smoothing, https://arxiv.org/abs/2301.12554, section 5, in their own setting: both parts
are networks without noise, and attacks are for L-infinity. The loss is that of
`rszoo.methods.mixing`, with the robust network's probabilities in the place of votes. Their attack
is AutoPGD; ours takes steps along the sign of the gradient, from a uniform point of the box,
through the mixing network too. No certificate follows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from rszoo.methods._attacks import ascend_images_linf, frozen
from rszoo.methods._weights import Copies, NonNegative, Positive
from rszoo.methods.mixing import loss_of_choices, spread
from rszoo.networks.mixing import Mix

#: The model is a `rszoo.networks.mixing.Mix`.
TRAINS = "weight"

#: Both of its parts are standard networks.
WITHOUT_NOISE = True

#: The loss is the same at any `progress`.
STEADY = True

# A step is so much of the way to the side of the box, times the number of steps (Madry et al.).
_REACH = 2.5


def loss(
    model: Mix,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    progress: float,
    attack_steps: Copies = 10,
    epsilon: Positive = 8 / 255,
    bce: NonNegative = 1.5,
    bce_ce: NonNegative = 0.3,
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`.

    Args:
        attack_steps: gradient steps of the attack, from 1.
        epsilon: most that the attack changes each pixel by, on the scale of [0, 1]; each batch's
            is 0.4 to 1.1 times that.
        bce: weight of the choice.
        bce_ce: weight of the choice where the mix is wrong.
    """
    del sigma, progress
    size = spread(epsilon, x.device)
    with frozen(model):
        attacked = ascend_images_linf(
            lambda points: _answers(model, points, y)[1].sum(),
            x,
            start=x + size * (2 * torch.rand_like(x) - 1),
            steps=attack_steps,
            step_size=_REACH * size / attack_steps,
            budget=size * torch.ones_like(x),
        )
    both = (_answers(model, points, y) for points in (x, attacked))
    return loss_of_choices(*both, bce=bce, bce_ce=bce_ce)


def _answers(model: Mix, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return gamma and the cross-entropy of the mix, float32 `[B]` each."""
    gamma, log_mixed = model.weighed(x)
    return gamma, F.nll_loss(log_mixed, y, reduction="none")

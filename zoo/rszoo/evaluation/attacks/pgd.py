"""Projected gradient ascent of the cross-entropy; on smoothed classifiers that of SmoothAdv.

L-infinity: Madry et al. (2018), https://arxiv.org/abs/1706.06083, from a random point of the box,
with steps of 2.5 eps / steps along the sign of the gradient. L2: Salman et al. (2019),
https://arxiv.org/abs/1906.04584, section 2.2, with steps of 2 eps / steps along the gradient, from
the image itself.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rszoo.methods._attacks import ascend_images, ascend_images_linf


def stated(*, classes: int, steps: int) -> dict[str, object]:
    """Return what the protocol of a log says of it."""
    return {"steps": steps}


def run(model: nn.Module, x: Tensor, y: Tensor, *, norm: str, eps: float, steps: int) -> Tensor:
    """Return the images after the last step, whether or not they mislead."""

    def mistake(points: Tensor) -> Tensor:
        return F.nll_loss(model(points), y, reduction="sum")

    if norm == "l2":
        return ascend_images(mistake, x, steps=steps, step_size=2 * eps / steps, radius=eps)
    return ascend_images_linf(
        mistake,
        x,
        start=x + eps * (2 * torch.rand_like(x) - 1),
        steps=steps,
        step_size=2.5 * eps / steps,
        budget=torch.full_like(x, eps),
    )

"""Auto-PGD on the cross-entropy: 100 steps, whose size adapts, from five random points.

Croce and Hein (2020), https://arxiv.org/abs/2003.01690, in the package pyautoattack.
"""

from torch import Tensor, nn

from rszoo.evaluation.attacks import _pyautoattack

_ATTACKS = ("apgd-ce",)


def stated(*, classes: int, steps: int) -> dict[str, object]:
    """Return what the protocol of a log says of it."""
    return _pyautoattack.stated(_ATTACKS)


def run(model: nn.Module, x: Tensor, y: Tensor, *, norm: str, eps: float, steps: int) -> Tensor:
    """Return misleading images where some were found, and the images themselves elsewhere."""
    return _pyautoattack.run(_ATTACKS, model, x, y, norm=norm, eps=eps, version="custom")

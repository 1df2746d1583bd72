"""AutoAttack, the standard version: APGD-CE, targeted APGD-DLR, targeted FAB and Square.

Croce and Hein (2020), Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse
Parameter-free Attacks, https://arxiv.org/abs/2003.01690, in the package pyautoattack.
"""

from torch import Tensor, nn

from rszoo.evaluation.attacks import _pyautoattack

_STANDARD = ("apgd-ce", "apgd-t", "fab-t", "square")

# The loss of the targeted attack compares the four largest logits.
_FOR_FEW_CLASSES = ("apgd-ce", "fab", "square")
_ENOUGH_CLASSES = 4


def stated(*, classes: int, steps: int) -> dict[str, object]:
    """Return what the protocol of a log says of it."""
    return _pyautoattack.stated(_attacks(classes))


def run(model: nn.Module, x: Tensor, y: Tensor, *, norm: str, eps: float, steps: int) -> Tensor:
    """Return misleading images where some were found, and the images themselves elsewhere."""
    classes = model(x[:1]).shape[1]
    attacks = _attacks(classes)
    return _pyautoattack.run(attacks, model, x, y, norm=norm, eps=eps, version="standard")


def _attacks(classes: int) -> tuple[str, ...]:
    return _STANDARD if classes >= _ENOUGH_CLASSES else _FOR_FEW_CLASSES

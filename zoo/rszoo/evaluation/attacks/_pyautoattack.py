"""The package pyautoattack, and what has to be known of it.

Its `state_path` does not resume, so that images are attacked a few at a time; it moves torch's
global generator, which the caller puts back.
"""

from collections.abc import Sequence
from importlib.metadata import version as version_of
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from rszoo.errors import RszooError

__all__ = ["run", "stated"]

_PACKAGE = "pyautoattack"
_NORMS = {"linf": "Linf", "l2": "L2"}
_LEAST_SIDE = 5  # its Square attack in L2 divides by a fifth of the side
_TARGETS = 9  # classes that a targeted attack tries, where there are as many


def stated(attacks: Sequence[str]) -> dict[str, object]:
    """Return what the protocol of a log says of some attacks of the package.

    Raises:
        RszooError: the package is missing.
    """
    _package()
    return {"attacks": list(attacks), "package": _PACKAGE, "version": version_of(_PACKAGE)}


def run(
    attacks: Sequence[str],
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    norm: str,
    eps: float,
    version: str,
) -> Tensor:
    """Return what the attacks make of images, one after the other, on those that withstood.

    Args:
        attacks, version: by the names of the package; the version says how often each begins anew.
        model, x, y, norm, eps: see `rszoo.evaluation.attacks`.

    Raises:
        RszooError: the package is missing, or the images are too small for it.
    """
    side = min(x.shape[2:])
    if norm == "l2" and "square" in attacks and side < _LEAST_SIDE:
        raise RszooError(
            f"expected images of at least {_LEAST_SIDE}x{_LEAST_SIDE} pixels, got "
            f"{x.shape[2]}x{x.shape[3]}, too small for AutoAttack in L2; take --attack apgd"
        )
    # Its seed is one more number from the generator that the caller has seeded.
    seed = int(torch.randint(2**31, ()).item())
    made: Any = _package().AutoAttack(
        model,
        device=x.device,
        eps=eps,
        norm=_NORMS[norm],
        seed=seed,
        version=version,
    )
    made.attacks_to_run = list(attacks)
    targets = min(_TARGETS, model(x[:1]).shape[1] - 1)
    made.apgd_targeted.n_target_classes = made.fab.n_target_classes = targets
    moved, _ = made.run_standard_evaluation(x, y, batch_size=len(x))
    return moved.detach()


def _package() -> ModuleType:
    try:
        import pyautoattack
    except ImportError as error:
        raise RszooError(
            "AutoAttack and APGD need the package pyautoattack; pip install 'rszoo[attack]' does "
            "it, or --attack pgd goes without"
        ) from error
    return pyautoattack

"""Attacks on classifiers. One file each; the file's name is the attack's name.

    run(model, x, y, *, norm, eps, steps) -> attacked images

- `model` maps images to log-probabilities with a gradient; its parameters have none;
- `x` is `[B, C, H, W]` in [0, 1], `y` the class of each that the attack leads away from;
- `norm` is "linf" or "l2", `eps` the largest distance, `steps` the gradient steps of an attack
  that has no number of its own;
- it draws from torch's global generator, which the caller seeds. A point may lie outside the ball
  by rounding: the caller brings it back.

Besides, a file has a function `stated(*, classes, steps)` with what the protocol of a log says of
the attack beside its name.
"""

from types import ModuleType

from rszoo import _registry

__all__ = ["load", "names"]


def names() -> list[str]:
    """Return the names of all attacks: the files of this folder."""
    return _registry.names(__name__)


def load(name: str) -> ModuleType:
    """Return the file of an attack.

    Raises:
        RszooError: no such attack.
    """
    return _registry.load(__name__, name, kind="attack")

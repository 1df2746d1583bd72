"""The noise schemes: ways to draw the noise of certificates. One file each, with a `SCHEME`.

A log names the scheme of its draws, so that whoever draws them again does it by the same one.
"""

from functools import cache

import torch

from rszoo import _registry
from rszoo.smoothing.lattice import SCHEME_SUFFIX
from rszoo.smoothing.scheme import Scheme

__all__ = ["is_same_everywhere", "load", "names", "stated", "usual"]


@cache
def names() -> tuple[str, ...]:
    """Return the names of all schemes: the files of this folder."""
    return tuple(_registry.names(__name__))


@cache
def load(name: str) -> Scheme:
    """Return the noise scheme of a file.

    Raises:
        RszooError: there is none of this name.
    """
    return _registry.load(__name__, name, kind="noise scheme").SCHEME


def stated(noise: str | None) -> str | None:
    """Return which scheme a protocol means by its `noise`; None where this rszoo has none such.

    Args:
        noise: the name of a scheme, and after it, for sound certificates, that of the lattice.
    """
    bare = (noise or "").removesuffix(SCHEME_SUFFIX)
    return next((name for name in names() if load(name).name == bare), None)


def is_same_everywhere(noise: str | None) -> bool:
    """Return whether what a protocol says of its noise makes the same draws on every device."""
    name = stated(noise)
    return name is not None and load(name).everywhere


def usual(device: torch.device) -> str:
    """Return the scheme of new logs: `counter` where kernels draw it, elsewhere `generator`."""
    if device.type != "cuda":
        return "generator"
    from rszoo.smoothing.schemes.counter import kernels_draw

    return "counter" if kernels_draw(device) else "generator"

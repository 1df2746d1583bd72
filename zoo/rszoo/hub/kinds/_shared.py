"""Parts that several experts have in common are in memory once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["once", "sharing"]

_loaded: "ContextVar[dict[str, nn.Module] | None]" = ContextVar("loaded", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Load each network once for the length of a block, within which all go to one device."""
    token = _loaded.set({})
    try:
        yield
    finally:
        _loaded.reset(token)


def once(digest: str, load: "Callable[[], nn.Module]") -> "nn.Module":
    """Return what `load` gives; within `sharing`, the same for the same weights."""
    loaded = _loaded.get()
    if loaded is None:
        return load()
    if digest not in loaded:
        loaded[digest] = load()
    return loaded[digest]

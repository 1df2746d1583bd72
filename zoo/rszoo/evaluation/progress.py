"""How far long work has come, for whoever wants to show it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["Meter", "Metering", "unseen"]


class Meter(Protocol):
    """An observer of long work, which is called with each step of progress."""

    def advance(self, amount: int = 1) -> None:
        """Count `amount` more units as done."""
        ...

    def status(self, text: str) -> None:
        """Say in words how far the work has come."""
        ...


#: From `total`, `done` (so far) and `unit` to the meter of one piece of work; where images are
#: certified also `each`, the units of one, and `how`, precision and device in words.
Metering = Callable[..., AbstractContextManager[Meter]]


class _Unseen:
    def advance(self, amount: int = 1) -> None:
        pass

    def status(self, text: str) -> None:
        pass


@contextmanager
def unseen(
    *, total: int, unit: str, done: int = 0, each: int = 0, how: str = ""
) -> Iterator[Meter]:
    """Give a meter that shows nothing, for work whose progress nobody watches."""
    yield _Unseen()

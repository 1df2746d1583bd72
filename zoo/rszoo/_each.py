"""One odd item never spoils the list of all: what others wrote may fail as nobody foresaw."""

from collections.abc import Callable
from typing import TypeVar

from rszoo.errors import RszooError

__all__ = ["attempted"]

T = TypeVar("T")


def attempted(call: Callable[[], T], *, expected: str) -> T | RszooError:
    """Return what a call on one item of several returns, or what is wrong with the item.

    Args:
        call: works on one item; its errors are about that item.
        expected: what the item should be, for errors that say nothing of it.
    """
    try:
        return call()
    except RszooError as error:
        return error
    except Exception as error:
        found = RszooError(f"expected {expected}, got {type(error).__name__}: {error}")
        found.__cause__ = error
        return found

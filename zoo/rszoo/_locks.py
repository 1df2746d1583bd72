"""One process at a time: lock files, which the system releases when their holder ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["exclusive", "is_held"]


@contextmanager
def exclusive(
    path: Path, *, on_wait: Callable[[], None] | None = None, patience: float | None = None
) -> Iterator[bool]:
    """Hold a lock file for the length of a block, once no other process does.

    Args:
        path: the file, which stays; its folder is made if need be.
        on_wait: called when another process holds it, before waiting.
        patience: seconds to wait for it; None for as long as it takes.

    Yields:
        Whether another process held it.

    Raises:
        TimeoutError: another process held it all the time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
        waited = False
    except Timeout:
        if on_wait is not None:
            on_wait()
        lock.acquire(timeout=-1 if patience is None else patience)
        waited = True
    try:
        yield waited
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Return whether a process holds a lock file."""
    if not path.exists():
        return False
    try:
        with FileLock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True

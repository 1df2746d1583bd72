"""One process at a time: lock files, which the system releases when their holder ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["exclusive", "is_held"]


@contextmanager
def exclusive(path: Path, *, on_wait: Callable[[], None]) -> Iterator[bool]:
    """Hold a lock file for the length of a block, once no other process does.

    Args:
        path: the file; its folder is made if need be.
        on_wait: called when another process holds it, before waiting.

    Yields:
        Whether another process held it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
        waited = False
    except Timeout:
        on_wait()
        lock.acquire()
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

"""One process at a time: lock files, which the system releases when their holder ends."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["exclusive", "is_held"]

_PAUSE = 0.02  # seconds between two tries


@contextmanager
def exclusive(
    path: Path, *, on_wait: Callable[[], None] | None = None, patience: float | None = None
) -> Iterator[bool]:
    """Hold a lock file for the length of a block, once no other process does.

    Args:
        path: the file, which is there while it is held; its folder is made if need be.
        on_wait: called when another process holds it, before waiting.
        patience: seconds to wait for it; None for as long as it takes.

    Yields:
        Whether another process held it.

    Raises:
        TimeoutError: another process held it all the time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    descriptor, waited = _tried(path), False
    while descriptor is None:
        if not waited and on_wait is not None:
            on_wait()
        waited = True
        if patience is not None and time.monotonic() - begun >= patience:
            raise TimeoutError(f"another process holds {path}")
        time.sleep(_PAUSE)
        descriptor = _tried(path)
    try:
        yield waited
    finally:
        path.unlink(missing_ok=True)  # who has it open finds out, see `_tried`
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing would leave it to a child
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Return whether a process holds a lock file."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _locked(descriptor)
    finally:
        os.close(descriptor)


def _tried(path: Path) -> int | None:
    """Return the descriptor of the file, locked; None while another process has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if not _locked(descriptor):
            os.close(descriptor)
            return None
        if _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)  # its holder took it away when we had it open: it guards nothing


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

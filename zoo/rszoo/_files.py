"""Writing a file as a whole or not at all.

The content goes into a temporary one beside the target, is brought to the disk, and takes the
target's name in one step: a reader, or a run that is killed, sees the old one or the new one.
Who is killed leaves the temporary one; it goes when the target is written again, or removed.
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import BinaryIO

from rszoo.errors import RszooError

__all__ = ["remove", "sync", "write_bytes_atomically", "write_json_atomically"]

_TOKEN_BYTES = 4
_FRESH = 1.0  # seconds


def write_bytes_atomically(path: str | Path, *parts: bytes | memoryview) -> None:
    """Write parts to `path`, replacing what is there; a failure leaves the old file untouched.

    Raises:
        RszooError: the file cannot be written (no such folder, no space, no permission).
    """
    path = Path(path)
    try:
        _remove_left(path, fresh=_FRESH)
        with _temporary(path) as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        sync(path.parent)
    except OSError as error:
        message = f"cannot write {str(path)!r}: {error.strerror}"
        raise RszooError(message) from error


def write_json_atomically(path: str | Path, value: object) -> None:
    """Write `value` as indented JSON, keys in their order; see `write_bytes_atomically`.

    Raises:
        ValueError: a number is not finite, which JSON cannot hold.
        RszooError: the file cannot be written.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes_atomically(path, f"{text}\n".encode())


def remove(path: Path) -> None:
    """Remove a file that nobody writes any more, if it is there, and what killed writers left."""
    path.unlink(missing_ok=True)
    _remove_left(path, fresh=0.0)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _temporary(path: Path) -> Iterator[BinaryIO]:
    """Give a file beside `path`, which is gone at the end unless it was given another name."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(_TOKEN_BYTES)}.tmp")
    with open(temporary, "xb") as file:
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            with suppress(OSError):  # such as a disk that cannot be written: the error says it
                temporary.unlink(missing_ok=True)


def _remove_left(path: Path, *, fresh: float) -> None:
    """Remove the temporary files of those that were killed while they wrote to `path`.

    One that is fresh may be that of another process, which has not locked it yet.
    """
    token = "[0-9a-f]" * 2 * _TOKEN_BYTES
    for left in path.parent.glob(f".{escape(path.name)}.{token}.tmp"):
        with suppress(OSError), open(left, "rb") as file:  # it may be gone, or another user's
            if time.time() - os.fstat(file.fileno()).st_mtime < fresh:
                continue
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()

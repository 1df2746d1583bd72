"""What is asked of a file before it is read: that it is one, and not too large."""

import stat
from pathlib import Path

from rszoo.errors import RszooError

__all__ = ["check_size", "size_text"]

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_size(path: Path, *, most: int, error: type[RszooError] = RszooError) -> int:
    """Return the size of a file in bytes; what is not a file could keep its reader waiting.

    Args:
        path: the file, or a link to one.
        most: bytes that it may have.
        error: class of what is raised.

    Raises:
        RszooError: as `error`: there is nothing, something else than a file, or too large a one.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as caught:  # a name with a null byte is a ValueError
        reason = caught.strerror if isinstance(caught, OSError) else caught
        raise error(f"cannot read {str(path)!r}: {reason}") from caught
    if not stat.S_ISREG(found.st_mode):
        kind = next((kind for is_one, kind in _KINDS if is_one(found.st_mode)), "something else")
        raise error(f"{path}: expected a file, got {kind}; name a file")
    if found.st_size > most:
        size = size_text(found.st_size)
        raise error(
            f"{path}: expected a file of at most {size_text(most)}, got {size}; make it smaller"
        )
    return found.st_size


def size_text(size: int) -> str:
    """Return a number of bytes as text.

    >>> size_text(2**28), size_text(1234)
    ('256 MiB', '1,234 bytes')
    """
    for unit, bits in (("GiB", 30), ("MiB", 20)):
        if size >= 1 << bits:
            return f"{size / (1 << bits):.4g} {unit}"
    return f"{size:,} bytes"

"""Writing a file as a whole or not at all.

The content goes into a temporary one beside the target, is brought to the disk, and takes the
target's name in one step: a reader, or a run that is killed, sees the old one or the new one.
"""

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path

from rszoo.errors import RszooError

__all__ = ["sync", "write_bytes_atomically", "write_json_atomically"]


def write_bytes_atomically(path: str | Path, data: bytes) -> None:
    """Write `data` to `path`, replacing what is there; a failure leaves the old file untouched.

    Raises:
        RszooError: the file cannot be written (no such folder, no space, no permission).
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        message = f"cannot write {str(path)!r}: {error.strerror}"
        raise RszooError(message) from error
    finally:
        with suppress(OSError):  # such as a disk that cannot be written: the error says it
            temporary.unlink(missing_ok=True)


def write_json_atomically(path: str | Path, value: object) -> None:
    """Write `value` as indented JSON, keys in their order; see `write_bytes_atomically`.

    Raises:
        ValueError: a number is not finite, which JSON cannot hold.
        RszooError: the file cannot be written.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes_atomically(path, f"{text}\n".encode())


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

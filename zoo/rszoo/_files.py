"""Writing a file or a folder as a whole or not at all.

The content goes into a temporary one beside the target, is brought to the disk, and takes the
target's name in one step: a reader, or a run that is killed, sees the old one or the new one.
"""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from rszoo.errors import RszooError

__all__ = [
    "folder_recovered",
    "folder_replaced",
    "write_bytes_atomically",
    "write_json_atomically",
]


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
        _sync(path.parent)
    except OSError as error:
        message = f"cannot write {str(path)!r}: {error.strerror}"
        raise RszooError(message) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json_atomically(path: str | Path, value: object) -> None:
    """Write `value` as indented JSON, keys in their order; see `write_bytes_atomically`.

    Raises:
        ValueError: a number is not finite, which JSON cannot hold.
        RszooError: the file cannot be written.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes_atomically(path, f"{text}\n".encode())


@contextmanager
def folder_replaced(folder: Path) -> Iterator[Path]:
    """Give a fresh folder beside `folder`, which takes its place when the block ends well."""
    token = secrets.token_hex(4)
    draft = folder.with_name(f".{folder.name}.{token}.new")
    try:
        draft.mkdir(parents=True)
        yield draft
        for path in draft.iterdir():
            _sync(path)
        _sync(draft)
        if folder.exists():
            old = folder.with_name(f".{folder.name}.{token}.old")
            os.replace(folder, old)
            try:
                os.replace(draft, folder)
            except OSError:
                os.replace(old, folder)
                raise
            shutil.rmtree(old)
        else:
            os.replace(draft, folder)
    except OSError as error:
        raise RszooError(f"cannot write {str(folder)!r}: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def folder_recovered(folder: Path) -> bool:
    """Put back what `folder_replaced` had moved aside when it was killed; return if it was."""
    for old in folder.parent.glob(f".{escape(folder.name)}.*.old"):
        os.replace(old, folder)
        return True
    return False


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Writing a folder as a whole or not at all, one process at a time.

The new one is made beside the old one, which is moved aside and comes back if the new one cannot
take its place. A process that is killed between the two leaves the old one aside: `recovered`
and `alone_with` put it back.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from glob import escape
from pathlib import Path

from rszoo._files import sync
from rszoo._locks import exclusive
from rszoo.errors import RszooError

__all__ = ["alone_with", "recovered", "replaced"]

_PATIENCE = 60.0  # seconds; a folder is written in much less


@contextmanager
def alone_with(folder: Path) -> Iterator[None]:
    """Keep other processes from replacing a folder for the length of a block.

    What is read of the folder in the block is what the block replaces. The lock is a hidden file
    beside it; it is free as soon as its process ends, however it ends.

    Args:
        folder: it need not exist.

    Raises:
        RszooError: another process is at work on it and does not end, or nothing can be written
            there.
    """
    place = folder.resolve()
    lock = place.with_name(f".{place.name}.lock")
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(lock, patience=_PATIENCE))
        except TimeoutError:
            raise RszooError(
                f"{folder} is being changed by another process; wait for it, and try again"
            ) from None
        except OSError as error:
            raise RszooError(f"cannot write {str(folder)!r}: {error.strerror}") from error
        if not folder.exists():
            for old in _aside(folder):
                os.replace(old, folder)
                break
        yield


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Give a fresh folder beside `folder`, which takes its place when the block ends well."""
    token = secrets.token_hex(4)
    draft = folder.with_name(f".{folder.name}.{token}.new")
    try:
        draft.mkdir(parents=True)
        yield draft
        for path in draft.iterdir():
            sync(path)
        sync(draft)
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


def recovered(folder: Path) -> bool:
    """Return whether a folder is there after all, once no other process is replacing it."""
    if _aside(folder):
        with alone_with(folder):
            pass
    return folder.is_dir()


def _aside(folder: Path) -> list[Path]:
    return sorted(folder.parent.glob(f".{escape(folder.name)}.*.old"))

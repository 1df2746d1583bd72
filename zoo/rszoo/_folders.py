"""Writing a folder as a whole or not at all, one process at a time.

The new one is made beside the old one, which is moved aside and comes back if the new one cannot
take its place. A process that is killed between the two leaves both of them there, and `recovered`
and `alone_with` put the old one back. Once the new one has taken its place, the old one is never
put back, even if somebody deletes the folder. Whatever else a kill leaves is removed by the next
process that changes the folder.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from glob import escape
from pathlib import Path

from rszoo._files import sync
from rszoo._locks import exclusive
from rszoo.errors import RszooError

__all__ = ["alone_with", "recovered", "replaced"]

_PATIENCE = 60.0  # seconds; a folder is written in much less
_TOKEN_BYTES = 4


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
            _settle(place)
        except TimeoutError:
            raise RszooError(
                f"{folder} is being changed by another process; wait for it, and try again"
            ) from None
        except OSError as error:
            raise RszooError(f"cannot write {str(folder)!r}: {error.strerror}") from error
        yield


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Give a fresh folder beside `folder`, which takes its place when the block ends well.

    To be used inside `alone_with`.
    """
    place = folder.resolve()
    draft = place.with_name(f".{place.name}.{secrets.token_hex(_TOKEN_BYTES)}.new")
    try:
        draft.mkdir(parents=True)
        yield draft
        for path in draft.iterdir():
            sync(path)
        sync(draft)
        if place.exists():
            os.replace(place, draft.with_suffix(".old"))
        os.replace(draft, place)
        sync(place.parent)
    except OSError as error:
        raise RszooError(f"cannot write {str(folder)!r}: {error.strerror}") from error
    finally:
        with suppress(OSError):  # such as a disk that cannot be written: the error says it
            _settle(place)


def recovered(folder: Path) -> bool:
    """Return whether a folder is there after all, once no other process is replacing it."""
    if _aside(folder.resolve()):
        with alone_with(folder):
            pass
    return folder.is_dir()


def _settle(place: Path) -> None:
    """Put back what nothing took the place of, and remove what is left over."""
    if not place.exists():
        for old in _aside(place)[:1]:
            os.replace(old, place)
    for left in [*_beside(place, "new"), *_beside(place, "old")]:
        shutil.rmtree(left, ignore_errors=True)


def _aside(place: Path) -> list[Path]:
    """Return what was moved aside for another that has not taken its place."""
    return [old for old in _beside(place, "old") if old.with_suffix(".new").exists()]


def _beside(place: Path, state: str) -> list[Path]:
    token = "[0-9a-f]" * 2 * _TOKEN_BYTES  # not those of `NAME.MORE`
    return sorted(place.parent.glob(f".{escape(place.name)}.{token}.{state}"))

"""Files of the hub appear as a whole: they grow in a folder that no start of a hub keeps."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rszoo._files import sync
from rszoo.hub_server.errors import HubError

__all__ = ["Incoming", "incoming", "place"]

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Incoming:
    """A file that is being written.

    Attributes:
        file: to write to.
        target: the name it is to have.
    """

    file: BinaryIO
    target: Path

    def keep(self) -> None:
        """Bring the file to the disk, and give it its name for good."""
        self.file.flush()
        os.fsync(self.file.fileno())
        os.replace(self.file.name, self.target)
        sync(self.target.parent)


@contextmanager
def incoming(target: Path, *, folder: Path) -> Iterator[Incoming]:
    """Give a file to fill, of which nothing is left unless it is kept.

    Args:
        folder: where it is meanwhile, on the disk of the target.

    Raises:
        HubError: it cannot be written; 507 where the disk is full.
    """
    temporary = folder / secrets.token_hex(8)
    try:
        _make(target.parent)
        with open(temporary, "xb") as file:
            yield Incoming(file, target)
    except OSError as error:
        status = 507 if error.errno in _FULL else 500
        raise HubError(status, f"cannot write {target.name!r}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def place(target: Path, content: bytes, *, folder: Path) -> None:
    """Write a small file as a whole.

    Raises:
        HubError: it cannot be written; 507 where the disk is full.
    """
    with incoming(target, folder=folder) as new:
        new.file.write(content)
        new.keep()


def _make(folder: Path) -> None:
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)

"""A file of rows that one process appends to: what is written survives a kill of the process."""

import fcntl
import io
import os
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from rszoo.errors import RszooError
from rszoo.evaluation.content import read_content

__all__ = ["LogInterrupted", "RowFile"]

T = TypeVar("T", bound="RowFile")


class LogInterrupted(KeyboardInterrupt):
    """The user interrupted the writing of a log, whose protocol is beside it: it can go on."""


class RowFile:
    """A file open for appending, by this process alone; a context manager.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        """Open and lock the file; it is made where there is none.

        Raises:
            RszooError: it is no file, another process writes it, or it cannot be written.
        """
        self.path = path
        self._file = _locked(path)

    def content(self, *, resume: bool) -> bytes:
        """Return what is in the file; nothing may be, unless it is to be continued.

        Raises:
            RszooError: something is there, and `resume` is False.
            DataError: the file cannot be read.
        """
        data = read_content(self.path)
        if data and not resume:
            raise RszooError(
                f"expected a new file, got {self.path}, which exists; continue it with --resume, "
                "or name another one with --out"
            )
        return data

    def cut(self, end: int) -> None:
        """Cut off what follows the first `end` bytes, and wait until the disk has it so."""
        self._file.truncate(end)
        os.fsync(self._file.fileno())

    def write(self, data: bytes) -> None:
        """Write all of `data`; the file is not buffered, so nothing stays behind in memory.

        Raises:
            RszooError: it cannot be written.
        """
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise RszooError(
                f"cannot write {str(self.path)!r}: {error.strerror}; once that is mended, "
                "continue with --resume"
            ) from error

    def close(self) -> None:
        """Close the file and let other processes write it."""
        self._file.close()

    def __enter__(self: T) -> T:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if isinstance(error, KeyboardInterrupt):
            raise LogInterrupted from error


def _locked(path: Path) -> io.FileIO:
    """Open a file for reading and appending; the lock lives as long as the file is open.

    Raises:
        RszooError: it is no file, another process writes it, or it cannot be written.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise RszooError(
            f"expected a file or a new name for the log, got {str(path)!r}, a pipe or a device; "
            "name another one with --out"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+b", buffering=0)
    except OSError as error:
        raise RszooError(f"cannot write {str(path)!r}: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise RszooError(
            f"{path} is being written by another process; wait for it to end, or name another "
            "log with --out"
        ) from error
    file.seek(0)
    return file

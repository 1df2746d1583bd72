"""The bytes of a log, read within a limit, from a file or out of a pipe."""

from pathlib import Path

from rszoo.errors import DataError

__all__ = ["LARGEST_LOG", "read_content"]

#: Bytes of a log; a row of a single network has about 100.
LARGEST_LOG = 1 << 30

_PIECE = 1 << 24  # bytes that are read at once


def read_content(path: Path) -> bytes:
    """Return the content of a log, which may come out of a pipe.

    Raises:
        DataError: it cannot be read, or has more than `LARGEST_LOG` bytes.
    """
    pieces: list[bytes] = []
    try:
        with open(path, "rb") as file:
            # Not at once: room for as much as is asked for is taken before a byte is read.
            while piece := file.read(_PIECE):
                pieces.append(piece)
                if sum(map(len, pieces)) > LARGEST_LOG:
                    raise DataError(
                        f"{path}: expected a log of at most {LARGEST_LOG:,} bytes, got more; "
                        "certify fewer inputs into one log"
                    )
    except OSError as error:
        raise DataError(f"cannot read the log {str(path)!r}: {error.strerror}") from error
    return b"".join(pieces)

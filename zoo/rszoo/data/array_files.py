"""NumPy's files: what a file claims is compared with what it holds before any of it is read."""

import io
import math
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from rszoo._reading import check_size, size_text
from rszoo.errors import DataError

__all__ = ["Array", "array_names", "read_arrays"]

Array = NDArray[np.generic]

#: What the arrays of a file may take together, in bytes, and how many there may be.
MOST_BYTES = 2**31
MOST_ARRAYS = 1000

_SUFFIX = ".npy"

_ARCHIVE = (b"PK\x03\x04", b"PK\x05\x06")

# A header is within these bytes: numpy reads none of more than 10,000.
_HEADER = 2**14


def read_arrays(path: Path) -> dict[str, Array]:
    """Return the arrays of an `.npz` file by name, that of an `.npy` file under the name "".

    Raises:
        DataError: the file is too large or damaged, claims more than it holds, or holds pickled
            objects.
    """
    size = check_size(path, most=MOST_BYTES, error=DataError)
    try:
        with path.open("rb") as file:
            start = file.read(_HEADER)
        if start.startswith(_ARCHIVE):
            _check_archive(path)
        else:
            _check_claim(start, size, "the array")
        # numpy.load leaves a file open when it opens it itself and then finds it damaged
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"": loaded}
            return {key: loaded[key] for key in loaded.files}
    except MemoryError:
        raise
    except Exception as error:  # damaged files fail in many ways, and all mean the same here
        raise DataError(
            f"{path}: expected plain NumPy arrays without pickled objects ({error}); "
            "write the file again with numpy.save or numpy.savez"
        ) from error


def array_names(path: Path) -> list[str]:
    """Return the names of the arrays of an `.npz` file that has been read once, unread."""
    with ZipFile(path) as archive:
        return [name.removesuffix(_SUFFIX) for name in archive.namelist()]


def _check_archive(path: Path) -> None:
    """Refuse an archive whose arrays are too many, too large, or not of the size they claim."""
    with ZipFile(path) as archive:
        entries = archive.infolist()
        total = sum(entry.file_size for entry in entries)
        if len(entries) > MOST_ARRAYS or total > MOST_BYTES:
            raise ValueError(
                f"at most {MOST_ARRAYS} of {size_text(MOST_BYTES)} together, "
                f"not {len(entries)} of {size_text(total)}"
            )
        if len({entry.filename for entry in entries}) < len(entries):
            raise ValueError("each name once, not one twice")
        for entry in entries:
            with archive.open(entry) as file:
                _check_claim(file.read(_HEADER), entry.file_size, entry.filename)


def _check_claim(start: bytes, size: int, name: str) -> None:
    """Refuse an array whose header claims another size than there are bytes."""
    version = tuple(start[npy.MAGIC_LEN - 2 : npy.MAGIC_LEN])
    if not start.startswith(npy.MAGIC_PREFIX) or version not in ((1, 0), (2, 0), (3, 0)):
        return  # no array at all, as numpy.load will say
    file = io.BytesIO(start)
    file.seek(npy.MAGIC_LEN)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    claimed = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and file.tell() + claimed != size:
        raise ValueError(
            f"{name} claims {size_text(claimed)} after its header, not the "
            f"{size_text(size - file.tell())} that there are"
        )

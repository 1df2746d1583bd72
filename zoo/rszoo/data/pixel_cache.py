"""Pixels that were decoded before, kept in the user's cache folder.

A file of the cache is found by a digest over all that decides its pixels: the bytes of every
picture, and the software that decodes them. Nothing is found for a picture that has changed,
whatever its time and size. What is found is checked by its own digest, against damage, not
against a user's enemy, who could as well change the pictures. A folder that cannot be written, or
a disk that is full, leaves the pictures to be decoded the next time as well.

A file holds the sha256 of its rest, the pixels, and as JSON what was said of the pictures.
"""

import hashlib
import json
import math
import os
import platform
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from io import BufferedReader
from pathlib import Path

import numpy as np
import PIL
from PIL import ImageFile, features

from rszoo._files import write_bytes_atomically
from rszoo.data.decode_files import Decoded
from rszoo.data.image_files import Files
from rszoo.data.root import cache_folder
from rszoo.errors import RszooError

__all__ = ["MOST_BYTES", "find", "folder", "keep"]

#: What the files of the cache take together; beyond it those go that were not used for longest.
MOST_BYTES = 2 * 2**30

_DIGEST_BYTES = hashlib.sha256().digest_size
_MOST_SAID = 2**24  # bytes

# What decodes: files beside this one, and parts of PIL that need not give the same everywhere.
_SOURCES = ("colours.py", "decode.py", "decode_files.py", "image_files.py", "pixel_cache.py")
_DECODERS = ("jpg", "libjpeg_turbo", "libtiff", "webp", "littlecms2")


def folder() -> Path:
    """Return the folder of the cache, `rszoo/pixels` in the user's; it may be deleted any time."""
    return cache_folder() / "pixels"


def find(files: Files, digests: Sequence[bytes]) -> Decoded | None:
    """Return the images that files with these bytes hold, if they were decoded before.

    Args:
        files: how their bytes become images.
        digests: sha256 of the bytes of each.

    Warns:
        UserWarning: what was kept is damaged.
    """
    try:
        path = _path(files, digests)
    except RuntimeError:  # the user has no home
        return None
    if not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as file:
            pixels, said = _read(file, (len(digests), *files.shape))
    except FileNotFoundError:  # another process made room
        return None
    except (OSError, ValueError) as error:
        warnings.warn(f"{path}: {error}; the pictures are decoded again", stacklevel=2)
        return None
    with suppress(OSError):
        os.utime(path)
    return Decoded(pixels=pixels, said=said, digests=digests)


def keep(files: Files, decoded: Decoded) -> None:
    """Keep images for the next time, if there is a place for them."""
    said = json.dumps(decoded.said).encode()
    pixels = decoded.pixels.reshape(-1).data
    if len(said) > _MOST_SAID:
        return
    with suppress(OSError, RuntimeError, RszooError):
        path = _path(files, decoded.digests)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # pictures may be private
        _make_room(path.parent, _DIGEST_BYTES + len(pixels) + len(said))
        write_bytes_atomically(path, _digest(pixels, said), pixels, said)


def _path(files: Files, digests: Sequence[bytes]) -> Path:
    key = hashlib.sha256(repr((files.shape, files.shorter_side, _software())).encode())
    key.update(repr(ImageFile.LOAD_TRUNCATED_IMAGES).encode())  # a setting of the user's script
    for digest in digests:
        key.update(digest)
    return folder() / f"{key.hexdigest()}.pixels"


@lru_cache(maxsize=1)
def _software() -> str:
    """Return what stands for all that turns bytes into pixels."""
    sources = [Path(__file__).with_name(name).read_bytes() for name in _SOURCES]
    rules = [hashlib.sha256(source).hexdigest() for source in sources]
    decoders = [(name, features.version(name)) for name in _DECODERS]
    return repr((rules, PIL.__version__, decoders, platform.machine()))


def _read(
    file: BufferedReader, shape: tuple[int, ...]
) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Return what a file of the cache holds.

    Raises:
        ValueError: it is not as it was written.
    """
    expected = _DIGEST_BYTES + math.prod(shape)
    size = os.fstat(file.fileno()).st_size
    if not expected < size <= expected + _MOST_SAID:
        raise ValueError(f"expected a file of {expected:,} bytes or a little more, got {size:,}")
    digest = file.read(_DIGEST_BYTES)
    pixels = np.empty(shape, np.uint8)
    flat = pixels.reshape(-1).data
    file.readinto(flat)
    said = file.read(_MOST_SAID)
    if _digest(flat, said) != digest:
        raise ValueError("it is damaged")
    return pixels, [(index, text) for index, text in json.loads(said)]


def _digest(pixels: memoryview, said: bytes) -> bytes:
    digest = hashlib.sha256(pixels)
    digest.update(said)
    return digest.digest()


def _make_room(kept: Path, size: int) -> None:
    """Remove what was not used for longest, so that `size` bytes more are within the bound."""
    found: list[tuple[float, int, Path]] = []
    for path in [*kept.glob("*.pixels"), *kept.glob(".*.pixels.*.tmp")]:
        with suppress(OSError):  # another process made room
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    taken = sum(size for _, size, _ in found)
    for _, freed, path in sorted(found):
        if taken + size <= MOST_BYTES:
            return
        with suppress(OSError):
            path.unlink()
        taken -= freed

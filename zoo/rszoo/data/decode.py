"""Image files to pixels as they are seen, with PIL; torchvision's decoders need extra operators.

A certificate is about the pixels that a network gets. They are those that a viewer shows: upright,
as the file's orientation says, and the whole of what it holds. A picture that would be shown
otherwise, by its transparency or by further frames, is refused.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from rszoo._reading import check_size
from rszoo.data.colours import READABLE, unapplied
from rszoo.errors import DataError

#: The formats that are read, as PIL calls them, and how their files are called. PIL knows others
#: by their first bytes, whatever the name says, and some of these start other programs.
FORMATS = {
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpeg", ".jpg"),
    "PNG": (".png",),
    "PPM": (".pgm", ".ppm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}

EXTENSIONS = frozenset(extension for extensions in FORMATS.values() for extension in extensions)

#: What a picture may have: bytes of its file, and pixels (height times width).
MOST_BYTES = 2**28
MOST_PIXELS = 2**25

_GREY = ("1", "L", "LA")

# What turns an image that is stored in the orientation (EXIF 2.32, 4.6.5) upright.
_UPRIGHT: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Where systems keep copies of pictures: indexes of a network drive, leftovers of an archive.
_COPIES = frozenset(("@eaDir", "__MACOSX"))


def files_below(folder: Path, extensions: frozenset[str] = EXTENSIONS) -> list[Path]:
    """Return the files below `folder` with one of the extensions, sorted.

    Hidden ones are left out, and those in hidden folders.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in extensions
        and not any(map(is_hidden, path.relative_to(folder).parts))
    )


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is no part of what the user laid out."""
    return name.startswith(".") or name in _COPIES


def open_image(path: str | Path) -> Image.Image:
    """Return the picture in a file as it is seen, in mode "L" if it is grey, else "RGB".

    Raises:
        DataError: the file is none, is too large, is no picture or damaged; or the picture has
            more than 8 bits per channel, transparent parts or several frames.

    Warns:
        UserWarning: the file holds further pictures that viewers do not show, or colours that they
            show otherwise (`rszoo.data.colours`).
    """
    # Not by its name: PIL would map the file, and mistake the sides of a turned TIFF.
    return decoded(io.BytesIO(content_of(path)), path)


def content_of(path: str | Path) -> bytes:
    """Return the bytes of a picture's file.

    Raises:
        DataError: it cannot be read, is none, or is too large.
    """
    check_size(Path(path), most=MOST_BYTES, error=DataError)
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise _unreadable(path, error) from error


def decoded(file: BinaryIO, name: str | Path) -> Image.Image:
    """Return the picture in an open file as it is seen; see `open_image`.

    Args:
        file: its bytes, of which there are not too many.
        name: in errors and warnings.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PIL's, of what is of no consequence here
            with Image.open(file, formats=[*FORMATS]) as image:
                wrong = _wrong(image)
                said = "" if wrong else _said(image)
                picture = image if wrong else _upright(image)
    except MemoryError:
        raise
    except Exception as error:  # on damaged files PIL's decoders raise almost anything
        raise _unreadable(name, error) from error
    if wrong:
        raise DataError(f"{name}: expected {wrong}")
    if said:
        warnings.warn(f"{name}: {said}", stacklevel=2)
    return picture


def _unreadable(name: str | Path, error: Exception) -> DataError:
    unknown = isinstance(error, UnidentifiedImageError)
    reason = f"cannot identify image file {str(name)!r}" if unknown else error
    return DataError(f"{name}: cannot be read as an image ({reason}); replace or remove the file")


def seen(picture: Image.Image, name: str) -> Image.Image:
    """Return a picture that PIL holds as it is seen, in mode "L" if it is grey, else "RGB".

    Args:
        picture: remains as it is.
        name: in errors.

    Raises:
        DataError: what `open_image` refuses of the picture in a file.
    """
    if wrong := _wrong(picture):
        raise DataError(f"{name}: expected {wrong}")
    try:
        return _upright(picture.copy())
    except OSError as error:  # it was opened, and is decoded only now
        raise DataError(f"{name}: cannot be read as an image ({error}); replace it") from error


@contextmanager
def warned_once() -> Iterator[None]:
    """Say what is odd about the pictures of a data set in one line, with one of them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    texts = [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
    if texts:
        more = f" (and {len(texts) - 1:,} more pictures)" if len(texts) > 1 else ""
        warnings.warn(texts[0] + more, stacklevel=1)  # two up is contextlib


def pixels_of(image: Image.Image) -> Tensor:
    """Return the pixels of a grey or RGB image: uint8 [C, H, W]."""
    array = np.array(image)
    return torch.from_numpy(array.reshape(image.height, image.width, -1)).permute(2, 0, 1)


def _wrong(image: Image.Image) -> str | None:
    """Return what was expected, what came and what to do; None where all is as it should be."""
    width, height = image.size
    if width * height > MOST_PIXELS:  # so far only the header was read
        return f"at most {MOST_PIXELS:,} pixels, got {height}x{width}; scale the image down"
    if image.mode[0] in "IF":
        return f"8 bits per channel, got an image of mode {image.mode!r}; convert it to 8 bits"
    if image.mode not in READABLE:
        return f"grey or RGB, got an image of mode {image.mode!r}; convert it to RGB"
    if _is_deep(image):
        return "8 bits per channel, got 16; convert it to 8 bits"
    if image.format != "MPO" and getattr(image, "is_animated", False):
        return "one picture, got several frames; save the one that is meant alone"
    least = _least_opaque(image)
    if least < 255:
        return (
            f"an opaque image, got one with transparency (alpha from {least} of 255), whose look "
            "depends on what lies behind it; put it on a background"
        )
    return None


def _is_deep(image: Image.Image) -> bool:
    """Return whether a picture has more than 8 bits per channel, of which PIL drops some."""
    tiles = getattr(image, "tile", [])
    if image.format == "PPM":  # the largest value of a channel stands last
        return any(isinstance(tile[3], tuple) and tile[3][-1] > 255 for tile in tiles)
    return re.search(r";16[BLN]", str(tiles)) is not None


def _said(image: Image.Image) -> str:
    """Return what a picture is shown with that is not read, in words; "" for nothing."""
    several = "holds several pictures; the first is read, which viewers show"
    return "; ".join(filter(None, (several if image.format == "MPO" else "", unapplied(image))))


def _least_opaque(image: Image.Image) -> int:
    """Return the smallest alpha of an image, 255 where it has none."""
    if not (image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info):
        return 255
    least, _ = image.convert("RGBA").getchannel("A").getextrema()
    return int(least)  # pyright: ignore[reportArgumentType]  # two numbers, as it is one channel


def _upright(image: Image.Image) -> Image.Image:
    """Return an image turned as its metadata say, grey or RGB."""
    turned = _UPRIGHT.get(_taken_orientation(image))
    plain = image.convert("L" if image.mode in _GREY else "RGB")
    return plain if turned is None else plain.transpose(turned)


def _taken_orientation(image: Image.Image) -> object:
    """Return the orientation in the metadata of an image that is not decoded, and remove it.

    PIL would turn the images of TIFF files by itself, though not always.
    """
    try:
        metadata = image.getexif()
        found = metadata.get(ExifTags.Base.Orientation)
        while ExifTags.Base.Orientation in metadata:  # the file's own, and what was read of it
            del metadata[ExifTags.Base.Orientation]
    except Exception:  # damaged metadata: viewers show the image as it is stored
        return None
    return found if isinstance(found, int) else None

"""The user's own inputs, from image files, folders and arrays, to images a model takes."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch.nn.functional as F
from PIL import Image, ImageChops
from torch import Tensor

from rszoo.data.array_files import read_arrays
from rszoo.data.arrays import to_image, to_pixels
from rszoo.data.decode import EXTENSIONS, files_below, open_image, pixels_of, seen
from rszoo.data.in_memory import unit
from rszoo.errors import DataError

_ARRAYS = frozenset((".npy", ".npz"))
_MODES = {1: "L", 3: "RGB"}
_SEEN = 0.05  # so much may proportions change before it is seen


def read_images(
    paths: Iterable[str | Path | Image.Image],
    *,
    shape: tuple[int, int, int],
    resize: bool = False,
) -> list[tuple[str, Tensor]]:
    """Return the images found at `paths`, in that order, each with a name.

    Args:
        paths: pictures of PIL; image files; `.npy` or `.npz` files with images [N, C, H, W] or one
            image [C, H, W], uint8 or floats in [0, 1] (an `.npz` file with one array, or one named
            "images"); folders, searched to any depth.
        shape: channels, height, width that every image must have. Image files are read as grey for
            one channel and as RGB for three.
        resize: scale images of another height or width, bilinearly and without keeping their
            proportions.

    Returns:
        Pairs of a name (the path; with "[i]" for the i-th image of an array; "picture i" for the
        i-th of `paths` if it is a picture) and a float32 image [C, H, W] in [0, 1].

    Raises:
        DataError: nothing found, an unreadable file, an image of another shape, or a picture that
            is seen otherwise than it is read (`rszoo.data.decode`); all that is wrong, in one
            message.

    Warns:
        UserWarning: colours are lost, for a model of grey images.
    """
    named, problems = read_apart(paths, shape=shape, resize=resize)
    if len(problems) > 1:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise DataError(f"expected inputs that can be read, got {len(problems)} others:{listed}")
    if problems:
        raise problems[0]
    return named


def read_apart(
    paths: Iterable[str | Path | Image.Image],
    *,
    shape: tuple[int, int, int],
    resize: bool = False,
) -> tuple[list[tuple[str, Tensor]], list[DataError]]:
    """Return what `read_images` returns, of good inputs, and what is wrong with the others.

    Of a file with several images, none is returned where one is not as it should be.

    Args:
        paths, shape, resize: see `read_images`.
    """
    named: list[tuple[str, Tensor]] = []
    problems: list[DataError] = []
    for place, given in enumerate(paths):
        try:
            sources = [given] if isinstance(given, Image.Image) else _files(given)
        except DataError as error:
            problems.append(error)
            continue
        for source in sources:
            try:
                read = list(_given(source, place, shape[0]))
                named += [(name, _fitted(one, name, shape, resize=resize)) for name, one in read]
            except DataError as error:
                problems.append(error)
    return named, problems


def _given(given: Path | Image.Image, place: int, channels: int) -> Iterator[tuple[str, Tensor]]:
    """Yield name and image of everything in a picture or a file."""
    if isinstance(given, Image.Image):
        name = f"picture {place}"
        yield name, pixels_of(_with_channels(seen(given, name), channels, name))
    else:
        yield from _images(given, channels)


def _files(given: str | Path) -> list[Path]:
    """Return a file, or those in a folder."""
    path = Path(given)
    if not path.exists():
        raise DataError(
            f"{path}: expected an image, an array file or a folder, found nothing; check the path"
        )
    if not path.is_dir():
        return [path]
    found = files_below(path, EXTENSIONS | _ARRAYS)
    if not found:
        raise DataError(
            f"{path}: expected images or arrays in this folder, found none; "
            f"known are {', '.join(sorted(EXTENSIONS | _ARRAYS))}"
        )
    return found


def _images(path: Path, channels: int) -> Iterator[tuple[str, Tensor]]:
    """Yield name and image [C, H, W] (uint8 or float32) of everything in one file."""
    if path.suffix.lower() not in _ARRAYS:
        yield str(path), pixels_of(_with_channels(open_image(path), channels, path))
        return
    arrays = read_arrays(path)
    array = arrays.get("images") if len(arrays) != 1 else next(iter(arrays.values()))
    if array is None:
        raise DataError(
            f"{path}: expected one array, or one named 'images', found {sorted(arrays)}; "
            "save the images alone"
        )
    if array.ndim == 3:
        yield str(path), to_image(array, where=str(path))
        return
    for index, image in enumerate(to_pixels(array, where=str(path))):
        yield f"{path}[{index}]", image


def _with_channels(image: Image.Image, channels: int, path: str | Path) -> Image.Image:
    """Return an image in grey for one channel and in RGB for three; lost colours are told."""
    if channels == 1 and image.mode == "RGB":
        red, *others = image.split()
        if any(ImageChops.difference(red, other).getbbox() for other in others):
            warnings.warn(
                f"{path}: read in grey, as the model takes one channel; its colours are lost",
                stacklevel=2,
            )
    return image.convert(_MODES.get(channels, image.mode))


def _fitted(image: Tensor, name: str, shape: Sequence[int], *, resize: bool) -> Tensor:
    if tuple(image.shape) == tuple(shape):
        return unit(image)
    same_channels = image.shape[0] == shape[0]
    if resize and same_channels:
        size = tuple(shape[1:])
        _warn_of_distortion(image, name, shape)
        return F.interpolate(unit(image)[None], size, mode="bilinear", antialias=True)[0].clamp(
            0, 1
        )
    remedy = (
        "pass --resize to scale it"
        if same_channels
        else f"convert it to {shape[0]} channels first (--resize changes height and width only)"
    )
    raise DataError(
        f"{name}: expected an image of shape {_text(shape)} (channels x height x width), "
        f"got {_text(image.shape)}; {remedy}"
    )


def _warn_of_distortion(image: Tensor, name: str, shape: Sequence[int]) -> None:
    (height, width), (rows, columns) = image.shape[1:], shape[1:]
    if abs(height * columns / (width * rows) - 1) > _SEEN:
        warnings.warn(
            f"{name}: scaled from {width} x {height} to {columns} x {rows}, which changes its "
            "proportions; crop it first to keep them",
            stacklevel=2,
        )


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))

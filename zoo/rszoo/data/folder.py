"""Data sets that are a folder of class folders, with or without a `train` / `test` split."""

import math
import warnings
from pathlib import Path

import torch

from rszoo.data import pixel_cache
from rszoo.data.decode import open_image, warned_once
from rszoo.data.decode_files import decode_files, digests_of
from rszoo.data.image_files import Files
from rszoo.data.image_set import ImageSet
from rszoo.data.in_memory import in_memory
from rszoo.data.known import name_of_own
from rszoo.data.layout import Layout, layout_of
from rszoo.data.splits import SPLITS, every_fifth
from rszoo.data.streamed import streamed
from rszoo.errors import DataError

IN_MEMORY_BYTES = 512 * 2**20
"""A split with more decoded pixels than this is streamed."""

CACHED_BYTES = 2**20
"""A split with fewer decoded pixels is decoded at every start, which takes a moment."""


def load_folder(folder: Path, split: str) -> ImageSet:
    """Return one split of a folder of class folders, classes in alphabetical order.

    The folder holds either `train` and `test`, with the same class folders in each, or the class
    folders themselves; then every fifth image of each class, in sorted order, is in the test
    split. Grey images stay grey when the first image is.

    Raises:
        DataError: a layout that is none of these, or likely another one (`rszoo.data.layout`); a
            class without images, an image that cannot be decoded, or images of different sizes.
    """
    layout = layout_of(folder)
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(layout.classes):
        images = [str(path) for path in layout.images(split, name)]
        chosen = images if layout.divided else every_fifth(images, split)
        paths += chosen
        labels += [label] * len(chosen)
    if not paths:
        raise DataError(f"{folder}: no class has enough images for a {split} split; add images")
    shape = _shape(paths[0])
    if layout.divided:
        _check_sizes(layout, split, shape)
    return _load(Files(paths=paths, shape=shape), torch.tensor(labels), layout, split)


def _load(files: Files, labels: torch.Tensor, layout: Layout, split: str) -> ImageSet:
    name, classes = name_of_own(layout.folder.resolve().name), layout.classes
    if len(files.paths) * math.prod(files.shape) > IN_MEMORY_BYTES:
        base = layout.base(split)
        return streamed(files, labels, name=name, split=split, class_names=classes, base=base)
    pixels = _pixels(files)
    return in_memory(pixels, labels, name=name, split=split, class_names=classes)


def _pixels(files: Files) -> torch.Tensor:
    """Return all images, uint8 [N, C, H, W]; what is odd about them is told in one line."""
    kept = None
    cached = len(files.paths) * math.prod(files.shape) >= CACHED_BYTES
    if cached:
        kept = pixel_cache.find(files, digests_of(files))
    read = kept or decode_files(files)
    if cached and kept is None:
        pixel_cache.keep(files, read)
    with warned_once():
        for index, text in read.said:
            warnings.warn(f"{files.paths[index]}: {text}", stacklevel=1)
    return torch.from_numpy(read.pixels)


def _check_sizes(layout: Layout, split: str, shape: tuple[int, int, int]) -> None:
    """Refuse splits whose first images are of different shapes."""
    [other] = set(SPLITS) - {split}
    first = layout.images(other, layout.classes[0])[0]
    if (found := _shape(first)) != shape:
        shapes = {split: list(shape), other: list(found)}
        raise DataError(
            f"{layout.folder}: expected images of one size, got "
            f"{shapes['train']} in 'train' and {shapes['test']} in 'test' "
            "(channels, height, width); bring them to one size"
        )


def _shape(path: str | Path) -> tuple[int, int, int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they come when all are read
        image = open_image(path)
    return (1 if image.mode == "L" else 3, image.height, image.width)

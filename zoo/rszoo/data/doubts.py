"""What is odd about a data set: it may be meant otherwise than it is read."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from rszoo.data.array_files import array_names
from rszoo.data.arrays import unused_arrays
from rszoo.data.image_set import ImageSet
from rszoo.data.in_memory import InMemory
from rszoo.data.known import names
from rszoo.data.layout import layout_of

__all__ = ["counts_of", "doubts"]

# The largest pixel of images that are brighter than a mistaken scale would make them.
_BRIGHT = 0.125


def doubts(dataset: str | Path, train: ImageSet, test: ImageSet) -> list[str]:
    """Return what is odd about a data set, each in a line; nothing where all is as usual.

    Args:
        dataset: as given to `rszoo.data.load`.
        train: its training images.
        test: its test images.
    """
    found: list[str] = []
    path = Path(dataset).expanduser()
    if str(dataset) in names():
        return found
    if path.is_dir():
        found += layout_of(path).doubts
    elif unused := unused_arrays(array_names(path)):
        found.append(f"arrays that are not read: {', '.join(map(repr, unused))}")
    for images in (train, test):
        found += _missing(images)
    if isinstance(train, InMemory) and isinstance(test, InMemory):
        found += [*_dark(train, test), *_twice(train, test)]
    return found


def counts_of(images: ImageSet) -> dict[str, int]:
    """Return how many images each class has, in the order of the labels."""
    counts = torch.bincount(images.labels.cpu(), minlength=images.num_classes).tolist()
    return dict(zip(images.class_names, counts, strict=True))


def _missing(images: ImageSet) -> Iterator[str]:
    absent = [name for name, count in counts_of(images).items() if not count]
    if absent:
        yield f"classes without {images.split} images: {_some(absent)}"


def _dark(*splits: InMemory) -> Iterator[str]:
    """Tell of pixels that may have been scaled twice, or not at all."""
    scale = 255 if splits[0].pixels.dtype == torch.uint8 else 1
    largest = max(images.pixels.max().item() for images in splits)
    if 0 < largest / scale < _BRIGHT:
        yield f"the largest pixel is {largest:g} of {scale}: are the pixels scaled as they should?"


def _twice(train: InMemory, test: InMemory) -> Iterator[str]:
    """Tell of test images that are among the training images."""
    known = set(_digests(train))
    if shared := sum(digest in known for digest in _digests(test)):
        yield f"{shared} of {len(test)} test images are training images as well"
    repeated = [count for count in Counter(_digests(train)).values() if count > 1]
    if repeated:
        yield f"{sum(repeated)} training images are there more than once"


def _digests(images: InMemory) -> Iterator[bytes]:
    for pixels in images.pixels:
        yield hashlib.sha256(pixels.contiguous().numpy().data).digest()


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:4])) + (", ..." if len(names) > 4 else "")

"""Data sets and images held in NumPy arrays."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rszoo.data.array_files import Array, read_arrays
from rszoo.data.image_set import ImageSet
from rszoo.data.in_memory import in_memory
from rszoo.data.known import name_of_own
from rszoo.data.splits import SPLITS, every_fifth
from rszoo.errors import DataError

_PER_SPLIT = [f"{split}_{kind}" for split in SPLITS for kind in ("images", "labels")]
_UNDIVIDED = ["images", "labels"]
_NAMES = "class_names"

_MOST_CLASSES = 2**20


def from_arrays(
    images: Array | Tensor,
    labels: Array | Tensor,
    *,
    name: str,
    split: str,
    class_names: Sequence[str] | None = None,
) -> ImageSet:
    """Return an in-memory set holding a copy of the arrays.

    Args:
        images: [N, C, H, W], uint8 in [0, 255] or any float in [0, 1].
        labels: [N], integers from 0.
        name: name of the set; see `rszoo.data.known.name_of_own`.
        split: "train" or "test".
        class_names: one per class; None numbers the classes up to the largest label.

    Raises:
        DataError: wrong shape, type or range of images or labels.
    """
    pixels, targets = _paired(images, labels, where=name)
    names = _class_names(class_names, targets, where=name)
    return in_memory(pixels, targets, name=name_of_own(name), split=split, class_names=names)


def load_npz(path: Path, split: str) -> ImageSet:
    """Return one split of an `.npz` file.

    The file holds `train_images`, `train_labels`, `test_images`, `test_labels`, or `images` and
    `labels`; then every fifth image of each class, in the order of the file, is in the test split.
    `class_names` (strings) is optional.

    Raises:
        DataError: the file cannot be read without pickle, lacks arrays, or holds unusable ones.
    """
    arrays = read_arrays(path)
    if set(_PER_SPLIT) <= set(arrays):
        parts = {part: _part(arrays, f"{part}_", path) for part in SPLITS}
        _check_sizes({part: pixels for part, (pixels, _) in parts.items()}, path)
        every = torch.cat([targets for _, targets in parts.values()])
        pixels, targets = parts[split]
    elif set(_UNDIVIDED) <= set(arrays):
        pixels, every = _part(arrays, "", path)
        keep = _fifths(every, split)
        if not len(keep):
            raise DataError(f"{path}: no class has enough images for a {split} split; add images")
        pixels, targets = pixels[keep], every[keep]
    else:
        raise DataError(
            f"{path}: expected the arrays 'images' and 'labels', or 'train_images', "
            "'train_labels', 'test_images' and 'test_labels', "
            f"found {sorted(arrays)}; rename them"
        )
    names = _class_names(_listed(arrays.get(_NAMES), path), every, where=str(path))
    return in_memory(pixels, targets, name=name_of_own(path.stem), split=split, class_names=names)


def unused_arrays(names: Collection[str]) -> list[str]:
    """Return which arrays of a file with these names are no part of the data set."""
    used = _PER_SPLIT if set(_PER_SPLIT) <= set(names) else _UNDIVIDED
    return sorted(set(names) - {*used, _NAMES})


def to_pixels(images: Array | Tensor, *, where: str) -> Tensor:
    """Return a copy of images [N, C, H, W] as uint8 or float32.

    Raises:
        DataError: other dimensions, channels in the last place, no images, another type, or floats
            outside [0, 1]; begins with `where`.
    """
    array = _array(images)
    if array.ndim != 4 or 0 in array.shape:
        grey = "give images[:, None]" if array.ndim == 3 else "transpose or reshape the array"
        raise DataError(
            f"{where}: expected images of shape [N, C, H, W], got {list(array.shape)}; "
            f"{'add some' if 0 in array.shape else grey}"
        )
    _check_channels(array.shape, where=where)
    if array.dtype == np.uint8:
        return torch.from_numpy(np.array(array))
    if array.dtype.kind != "f":
        whole = array.dtype.kind in "iu" and array.min() >= 0 and array.max() <= 255
        raise DataError(
            f"{where}: expected images as uint8 in [0, 255] or floats in [0, 1], got "
            f"{array.dtype}; {'give images.astype(numpy.uint8)' if whole else 'convert the array'}"
        )
    pixels = torch.from_numpy(np.array(array, dtype=np.float32))
    low, high = pixels.min().item(), pixels.max().item()
    if not (low >= 0 and high <= 1):
        raise DataError(
            f"{where}: expected floats in [0, 1], got values from {low:g} to {high:g}; "
            "scale the array, or give uint8"
        )
    return pixels


def to_image(image: Array, *, where: str) -> Tensor:
    """Return a copy of one image [C, H, W] as uint8 or float32; errors are as of `to_pixels`."""
    if _is_last(1, *image.shape):
        raise DataError(
            f"{where}: expected an image of shape [C, H, W], got {list(image.shape)}, as of "
            f"{image.shape[2]} channels in the last place; give image.transpose(2, 0, 1)"
        )
    return to_pixels(image[None], where=where)[0]


def _to_labels(labels: Array | Tensor, *, where: str) -> Tensor:
    array = _array(labels)
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "iu":
        raise DataError(
            f"{where}: expected integer labels of shape [N], got {array.dtype} of shape "
            f"{list(array.shape)}; {_remedy_of_labels(array)}"
        )
    if array.min() < 0 or array.max() > _MOST_CLASSES:
        found = array.min() if array.min() < 0 else array.max()
        raise DataError(f"{where}: expected labels from 0, got {found}; number the classes from 0")
    return torch.from_numpy(np.array(array, dtype=np.int64))


def _remedy_of_labels(array: Array) -> str:
    """Return what to do with labels that are no integers, or not in one row."""
    if array.ndim == 2 and array.shape[1] == 1:
        return "give labels[:, 0], as integers"
    if array.ndim == 2 and array.dtype.kind in "biuf":
        return "if each row marks one class, give labels.argmax(axis=1)"
    if array.ndim == 1 and array.dtype.kind in "US":
        return "give numpy.unique(labels, return_inverse=True): the class_names, and the labels"
    return "reshape or convert the labels"


def _paired(
    images: Array | Tensor, labels: Array | Tensor, *, where: str
) -> tuple[Tensor, Tensor]:
    pixels, targets = to_pixels(images, where=where), _to_labels(labels, where=where)
    if len(targets) != len(pixels):
        raise DataError(
            f"{where}: expected one label per image, got {len(pixels)} images and {len(targets)} "
            "labels; leave out what has no partner"
        )
    return pixels, targets


def _part(arrays: dict[str, Array], prefix: str, path: Path) -> tuple[Tensor, Tensor]:
    images, labels = arrays[f"{prefix}images"], arrays[f"{prefix}labels"]
    return _paired(images, labels, where=f"{path}: {prefix}images")


def _fifths(targets: Tensor, split: str) -> Tensor:
    """Return the places of every fifth (or of the other) images of each class, in order."""
    places = [
        place
        for label in targets.unique()
        for place in every_fifth((targets == label).nonzero()[:, 0].tolist(), split)
    ]
    return torch.tensor(sorted(places), dtype=torch.long)


def _check_channels(shape: Sequence[int], *, where: str) -> None:
    """Refuse images [N, H, W, C]: they would be taken for H channels of W x C pixels."""
    count, first, width, last = shape
    if _is_last(*shape):
        raise DataError(
            f"{where}: expected images of shape [N, C, H, W], got {list(shape)}, as of {last} "
            f"channels in the last place; give images.transpose(0, 3, 1, 2), of shape "
            f"{[count, last, first, width]}"
        )


def _is_last(count: int, first: int, width: int, last: int) -> bool:
    """Return whether the last place of a shape holds the channels, by all that it looks like."""
    return last <= 4 < first or (last in (1, 3) and last < first == width)


def _check_sizes(parts: Mapping[str, Tensor], path: Path) -> None:
    """Refuse splits with images of different shapes."""
    train, test = (tuple(parts[split].shape[1:]) for split in SPLITS)
    if train != test:
        raise DataError(
            f"{path}: expected images of one size, got {list(train)} in train_images and "
            f"{list(test)} in test_images (channels, height, width); bring them to one size"
        )


def _listed(named: Array | None, path: Path) -> list[str] | None:
    """Return the class names that a file holds."""
    if named is not None and (named.ndim != 1 or named.dtype.kind != "U"):
        raise DataError(
            f"{path}: expected {_NAMES} as a list of texts, got {named.dtype} of shape "
            f"{list(named.shape)}; write them as numpy.array([...])"
        )
    return None if named is None else [str(each) for each in named]


def _class_names(given: Sequence[str] | None, targets: Tensor, *, where: str) -> Sequence[str]:
    """Return the given names, or numbers; labels without names have to leave none out."""
    largest = int(targets.max())
    if given is None:
        present = len(targets.unique())
        if present <= largest:
            raise DataError(
                f"{where}: expected labels from 0 to {present - 1}, as there are {present} "
                f"different ones, got {int(targets.min())} to {largest}; number the classes from "
                "0, or name every class, those without images too (class_names)"
            )
        return [str(label) for label in range(largest + 1)]
    if largest >= len(given):
        raise DataError(
            f"{where}: expected labels below {len(given)}, the number of class names, "
            f"got {largest}; name every class"
        )
    return given


def _array(values: Array | Tensor) -> Array:
    if not isinstance(values, Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    return (values.float() if values.is_floating_point() else values).numpy()

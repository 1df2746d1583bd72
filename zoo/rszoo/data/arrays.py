"""Data sets and images held in NumPy arrays and files; pickled objects are never read."""

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rszoo.data.image_set import ImageSet
from rszoo.data.in_memory import in_memory
from rszoo.data.known import name_of_own
from rszoo.data.splits import SPLITS, every_fifth
from rszoo.errors import DataError

Array = NDArray[np.generic]


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
    names = _class_names(class_names, int(targets.max()), where=name)
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
    if all(f"{part}_{kind}" in arrays for part in SPLITS for kind in ("images", "labels")):
        parts = {part: _part(arrays, f"{part}_", path) for part in SPLITS}
        pixels, targets = parts[split]
        largest = max(int(labels.max()) for _, labels in parts.values())
    elif {"images", "labels"} <= set(arrays):
        pixels, targets = _part(arrays, "", path)
        largest = int(targets.max())
        keep = _fifths(targets, split)
        if not len(keep):
            raise DataError(f"{path}: no class has enough images for a {split} split; add images")
        pixels, targets = pixels[keep], targets[keep]
    else:
        raise DataError(
            f"{path}: expected the arrays 'images' and 'labels', or 'train_images', "
            "'train_labels', 'test_images' and 'test_labels', "
            f"found {sorted(arrays)}; rename them"
        )
    named = arrays.get("class_names")
    given = None if named is None else [str(each) for each in named]
    names = _class_names(given, largest, where=str(path))
    return in_memory(pixels, targets, name=name_of_own(path.stem), split=split, class_names=names)


def read_arrays(path: Path) -> dict[str, Array]:
    """Return the arrays of an `.npz` file by name, that of an `.npy` file under the name "".

    Raises:
        DataError: the file is damaged or holds pickled objects.
    """
    try:
        # numpy.load leaves a file open when it opens it itself and then finds it damaged
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"": loaded}
            return {key: loaded[key] for key in loaded.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(
            f"{path}: expected plain NumPy arrays without pickled objects ({error}); "
            "write the file again with numpy.save or numpy.savez"
        ) from error


def to_pixels(images: Array | Tensor, *, where: str) -> Tensor:
    """Return a copy of images [N, C, H, W] as uint8 or float32.

    Raises:
        DataError: other dimensions, no images, another type, or floats outside [0, 1]; begins with
            `where`.
    """
    array = _array(images)
    if array.ndim != 4 or 0 in array.shape:
        raise DataError(
            f"{where}: expected images of shape [N, C, H, W], got {list(array.shape)}; "
            "transpose or reshape the array"
        )
    if array.dtype == np.uint8:
        return torch.from_numpy(np.array(array))
    if array.dtype.kind != "f":
        raise DataError(
            f"{where}: expected images as uint8 in [0, 255] or floats in [0, 1], "
            f"got {array.dtype}; convert the array"
        )
    pixels = torch.from_numpy(np.array(array, dtype=np.float32))
    low, high = pixels.min().item(), pixels.max().item()
    if not (low >= 0 and high <= 1):
        raise DataError(
            f"{where}: expected floats in [0, 1], got values from {low:g} to {high:g}; "
            "scale the array, or give uint8"
        )
    return pixels


def _to_labels(labels: Array | Tensor, *, where: str) -> Tensor:
    array = _array(labels)
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "iu":
        raise DataError(
            f"{where}: expected integer labels of shape [N], got {array.dtype} of shape "
            f"{list(array.shape)}; reshape or convert the labels"
        )
    if array.min() < 0:
        raise DataError(
            f"{where}: expected labels from 0, got {array.min()}; number the classes from 0"
        )
    return torch.from_numpy(np.array(array, dtype=np.int64))


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


def _class_names(given: Sequence[str] | None, largest: int, *, where: str) -> Sequence[str]:
    """Return the given names, or numbers, checked to name every label up to the largest."""
    if given is None:
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

"""Data sets that are a folder of class folders, with or without a `train` / `test` split."""

from pathlib import Path

import torch

from rszoo.data.decode import files_below, open_image
from rszoo.data.image_set import ImageSet
from rszoo.data.in_memory import in_memory
from rszoo.data.known import name_of_own
from rszoo.data.splits import SPLITS, every_fifth
from rszoo.data.streamed import Files, streamed
from rszoo.errors import DataError

IN_MEMORY_BYTES = 512 * 2**20
"""A split with more decoded pixels than this is streamed."""


def load_folder(folder: Path, split: str) -> ImageSet:
    """Return one split of a folder of class folders, classes in alphabetical order.

    The folder holds either `train` and `test`, with the same class folders in each, or the class
    folders themselves; then every fifth image of each class, in sorted order, is in the test
    split. Grey images stay grey when the first image is.

    Raises:
        DataError: fewer than two classes, an empty one, splits of different classes, an image that
            cannot be decoded, or images of different sizes.
    """
    found = _class_folders(folder)
    divided = set(SPLITS) <= set(found)
    base = folder / split if divided else folder
    classes = _same_classes(folder) if divided else found
    if len(classes) < 2:
        raise DataError(
            f"{folder}: expected at least two class folders, or 'train' and 'test' folders of "
            f"them, found {classes}; lay the images out as {folder}/CLASS/IMAGE"
        )

    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        images = [str(path) for path in files_below(base / name)]
        if not images:
            raise DataError(f"{base / name}: expected images, found none; add some or remove it")
        chosen = images if divided else every_fifth(images, split)
        paths += chosen
        labels += [label] * len(chosen)
    return _load(paths, torch.tensor(labels), folder, base, split, classes)


def _load(
    paths: list[str],
    labels: torch.Tensor,
    folder: Path,
    base: Path,
    split: str,
    classes: list[str],
) -> ImageSet:
    if not paths:
        raise DataError(f"{folder}: no class has enough images for a {split} split; add images")
    first = open_image(paths[0])
    shape = (1 if first.mode == "L" else 3, first.height, first.width)
    files = Files(paths=paths, shape=shape)
    name = name_of_own(folder.resolve().name)
    if len(paths) * shape[0] * shape[1] * shape[2] > IN_MEMORY_BYTES:
        return streamed(files, labels, name=name, split=split, class_names=classes, base=base)
    pixels = torch.empty(len(paths), *shape, dtype=torch.uint8)
    for index in range(len(paths)):
        pixels[index] = files.read(index)
    return in_memory(pixels, labels, name=name, split=split, class_names=classes)


def _class_folders(folder: Path) -> list[str]:
    return sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _same_classes(folder: Path) -> list[str]:
    train, test = (_class_folders(folder / split) for split in SPLITS)
    if train != test:
        raise DataError(
            f"{folder}: expected the same class folders in 'train' and 'test', "
            f"found {sorted(set(train) ^ set(test))} in only one of them; add or remove them"
        )
    return train

"""The data sets known by name: the digits of scikit-learn, and torchvision's under a data root."""

from pathlib import Path
from typing import Any

import torch

from rszoo._torchvision import import_torchvision
from rszoo.data.facts import NORMALIZATIONS, TEN_DIGITS
from rszoo.data.image_set import ImageSet
from rszoo.data.in_memory import in_memory
from rszoo.data.splits import every_fifth
from rszoo.data.streamed import Files, streamed
from rszoo.errors import DataError

_ELSEWHERE = "name another data root with --data-root or RSZOO_DATA"

# rszoo's name -> class in torchvision.datasets, and where its files lie under the data root
_SMALL = {
    "mnist": ("MNIST", "MNIST/raw"),
    "fashion_mnist": ("FashionMNIST", "FashionMNIST/raw"),
    "cifar10": ("CIFAR10", "cifar-10-batches-py"),
    "cifar100": ("CIFAR100", "cifar-100-python"),
}

NAMES = tuple(sorted(("digits", *_SMALL, "imagenet")))


def load_known(name: str, split: str, *, root: Path, download: bool) -> ImageSet:
    """Return the data set `name`, one of `NAMES`, reading what is not built in from `root`.

    Raises:
        DataError: the files are missing or damaged, or cannot be downloaded.
    """
    if name == "digits":
        return _digits(split)
    if name == "imagenet":
        return _imagenet(split, root / "imagenet")
    return _small(name, split, root, download=download)


def _digits(split: str) -> ImageSet:
    from sklearn.datasets import load_digits

    source: Any = load_digits()
    keep = every_fifth(range(len(source.target)), split)
    # scikit-learn's pixels are whole numbers from 0 to 16
    pixels = torch.from_numpy((source.images[keep] * 255 / 16).round()).to(torch.uint8)
    return in_memory(
        pixels.unsqueeze(1),
        torch.from_numpy(source.target[keep]).long(),
        name="digits",
        split=split,
        class_names=TEN_DIGITS,
    )


def _small(name: str, split: str, root: Path, *, download: bool) -> ImageSet:
    class_name, place = _SMALL[name]
    remedy = (
        "the download failed: check the network, or put the files there by hand"
        if download
        else f"pass --download to fetch them, or {_ELSEWHERE}"
    )
    options = {"train": split == "train", "download": download}
    source = _opened(class_name, root, root / place, f"{name}: %s; {remedy}", options)
    pixels = torch.as_tensor(source.data)
    # MNIST's come as [N, H, W], CIFAR's as [N, H, W, C]
    pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    return in_memory(
        pixels.contiguous(),
        torch.as_tensor(source.targets).long(),
        name=name,
        split=split,
        class_names=TEN_DIGITS if name == "mnist" else source.classes,
        normalization=NORMALIZATIONS.get(name),
    )


def _imagenet(split: str, folder: Path) -> ImageSet:
    part = "train" if split == "train" else "val"
    message = (
        "imagenet: %s; it cannot be downloaded freely: put ILSVRC2012_devkit_t12.tar.gz and "
        f"ILSVRC2012_img_{part}.tar there, or {_ELSEWHERE}"
    )
    source = _opened("ImageNet", folder, folder, message, {"split": part})
    paths, labels = zip(*source.samples, strict=True)
    return streamed(
        Files(paths=paths, shape=(3, 224, 224), shorter_side=256),
        torch.tensor(labels),
        name="imagenet",
        split=split,
        class_names=[", ".join(names) for names in source.classes],
        base=folder / part,
        normalization=NORMALIZATIONS["imagenet"],
    )


def _opened(
    class_name: str, root: Path, folder: Path, message: str, options: dict[str, Any]
) -> Any:  # noqa: ANN401  # torchvision's data sets share no type that has their attributes
    """Return torchvision's data set, or raise `message` with what is wrong in place of "%s"."""
    maker = getattr(import_torchvision().datasets, class_name)
    existed = folder.is_dir()
    try:
        return maker(root, **options)
    except (RuntimeError, OSError, ValueError, AssertionError, IndexError, EOFError) as error:
        found = (
            f"found them incomplete or damaged ({error})" if existed else "found no such folder"
        )
        raise DataError(message % f"expected torchvision's files in {folder}, {found}") from error

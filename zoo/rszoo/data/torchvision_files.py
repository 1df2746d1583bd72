"""Data sets whose files torchvision reads, and fetches, under a data root."""

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch

from rszoo._torchvision import import_torchvision
from rszoo.data.facts import KnownSet
from rszoo.data.image_set import ImageSet
from rszoo.data.in_memory import in_memory
from rszoo.errors import DataError

__all__ = ["ELSEWHERE", "load_in_memory", "opened", "remedy"]

#: What to do when the files are missing, for the end of a message.
ELSEWHERE = "name another data root with --data-root or RSZOO_DATA"


def load_in_memory(
    known: KnownSet, name: str, split: str, *, root: Path, download: bool
) -> ImageSet:
    """Return one split of a set that torchvision keeps in memory, with `data` and `targets`.

    Raises:
        DataError: the files are missing or damaged, or cannot be downloaded.
    """
    assert known.torchvision is not None
    source = opened(
        known.torchvision,
        root,
        {"train": split == "train", "download": download},
        place=root / known.folder,
        message=f"{name}: %s; {remedy(download=download)}",
    )
    pixels = torch.as_tensor(source.data)
    # MNIST's come as [N, H, W], CIFAR's as [N, H, W, C]
    pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    return in_memory(
        pixels.contiguous(),
        torch.as_tensor(source.targets).long(),
        name=name,
        split=split,
        # CIFAR's are in its files; those of a class of torchvision are torchvision's wording
        class_names=vars(source).get("classes", known.class_names),
        normalization=known.normalization,
    )


def remedy(*, download: bool) -> str:
    """Return what to do when files are missing that can be had, for the end of a message."""
    if download:
        return "the download failed: check the network, or put the files there by hand"
    return f"pass --download to fetch them, or {ELSEWHERE}"


def _is_of_disk(error: Exception) -> bool:
    """Return whether it is a file or a disk of ours that is in the way, and no network."""
    if not isinstance(error, OSError) or isinstance(error, URLError):
        return False
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    return full or (error.filename is not None and not isinstance(error, FileNotFoundError))


def opened(
    class_name: str, root: Path, options: Mapping[str, Any], *, place: Path, message: str
) -> Any:  # noqa: ANN401  # torchvision's data sets share no type that has their attributes
    """Return a data set of torchvision.

    Args:
        class_name: in `torchvision.datasets`.
        root, options: what the class takes.
        place: where its files lie.
        message: of the error, with what is wrong in place of "%s".

    Raises:
        DataError: the files are missing or damaged, or cannot be downloaded.
    """
    maker = getattr(import_torchvision().datasets, class_name)
    existed = place.is_dir()
    try:
        return maker(root, **options)
    except (RuntimeError, OSError, ValueError, AssertionError, IndexError, EOFError) as error:
        if _is_of_disk(error):
            raise DataError(
                f"cannot use {str(root)!r}: {error}; name another data root with --data-root or "
                "RSZOO_DATA"
            ) from error
        found = (
            f"found them incomplete or damaged ({error})" if existed else "found no such folder"
        )
        raise DataError(message % f"expected torchvision's files in {place}, {found}") from error

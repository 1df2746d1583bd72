"""The data sets known by name: the files of the folder `sets`. Free of torch."""

from pathlib import Path
from typing import TYPE_CHECKING

from rszoo import _registry
from rszoo.data.known_set import KnownSet

if TYPE_CHECKING:
    from rszoo.data.image_set import ImageSet

__all__ = ["known_set", "load_known", "names"]

_SETS = "rszoo.data.sets"


def names() -> list[str]:
    """Return the names of the known data sets, sorted."""
    return _registry.names(_SETS)


def known_set(dataset: str) -> KnownSet | None:
    """Return what is known of a data set; None for a path, or a name that is not known."""
    if dataset not in names():
        return None
    return _registry.load(_SETS, dataset, kind="data set").SET


def load_known(name: str, split: str, *, root: Path, download: bool) -> "ImageSet":
    """Return one split of the data set `name`, reading what is not built in from `root`.

    Raises:
        RszooError: unknown name.
        DataError: the files are missing or damaged, or cannot be downloaded.
    """
    from rszoo.data.torchvision_files import load_in_memory

    module = _registry.load(_SETS, name, kind="data set")
    known: KnownSet = module.SET
    if known.torchvision is None:
        return module.load(name, split, root=root, download=download)
    return load_in_memory(known, name, split, root=root, download=download)

"""Loading a data set known by name, whose images are then known to be its own."""

from pathlib import Path

from rszoo import _registry
from rszoo.data.facts import KnownSet
from rszoo.data.image_set import ImageSet
from rszoo.data.known import SETS
from rszoo.data.torchvision_files import load_in_memory
from rszoo.errors import DataError

__all__ = ["load_known"]


def load_known(name: str, split: str, *, root: Path, download: bool) -> ImageSet:
    """Return one split of the data set `name`, reading what is not built in from `root`.

    Raises:
        RszooError: unknown name.
        DataError: the files are missing or damaged, hold other images, or cannot be downloaded.
    """
    module = _registry.load(SETS, name, kind="data set")
    known: KnownSet = module.SET
    if known.torchvision is None:
        images = module.load(name, split, root=root, download=download)
    else:
        images = load_in_memory(known, name, split, root=root, download=download)
    if images.digest != known.digests.get(split, images.digest):
        raise DataError(
            f"{name}: expected the images of its {split} split, digest {known.digests[split]}, "
            f"got others, {images.digest}; put the original files into {root}, or give the path "
            "of a folder or an .npz file"
        )
    return images

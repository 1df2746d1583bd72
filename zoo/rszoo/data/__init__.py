"""Data sets by name, from folders and from arrays: images in [0, 1] with labels and a digest."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rszoo.data.facts import KnownSet
from rszoo.data.known import known_set, names
from rszoo.data.normalization import Normalization
from rszoo.data.root import data_root, is_default
from rszoo.data.splits import SPLITS
from rszoo.errors import DataError, unknown_name

if TYPE_CHECKING:
    from rszoo.data.arrays import from_arrays
    from rszoo.data.augment import AUGMENTATIONS
    from rszoo.data.image_set import ImageSet
    from rszoo.data.inputs import read_images

__all__ = [
    "AUGMENTATIONS",
    "ImageSet",
    "KnownSet",
    "Normalization",
    "data_root",
    "from_arrays",
    "known_set",
    "load",
    "names",
    "read_images",
]


# Resolved on first use, so that who asks for names or standardisations does not wait for torch.
_LAZY = {
    "AUGMENTATIONS": "rszoo.data.augment",
    "ImageSet": "rszoo.data.image_set",
    "from_arrays": "rszoo.data.arrays",
    "read_images": "rszoo.data.inputs",
}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'rszoo.data' has no attribute {name!r}")


def load(
    name: str | Path, split: str, *, root: str | Path | None = None, download: bool = False
) -> "ImageSet":
    """Return one split of a data set.

    Args:
        name: one of `names()`, or the path of a folder of class folders or of an `.npz` file.
        split: "train" or "test".
        root: where downloaded sets lie, see `data_root`.
        download: fetch missing files; without it they are fetched only into the default root.

    Raises:
        RszooError: unknown name or split.
        DataError: files that are missing, damaged or of the wrong form.
    """
    from rszoo.data.arrays import load_npz
    from rszoo.data.folder import load_folder
    from rszoo.data.known_files import load_known

    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    if name in names():
        allowed = download or is_default(root)
        return load_known(str(name), split, root=data_root(root), download=allowed)
    path = Path(name).expanduser()
    if path.is_dir():
        return load_folder(path, split)
    if path.suffix != ".npz" and len(path.parts) == 1:
        raise unknown_name("data set", str(name), names())
    if path.suffix != ".npz" or not path.is_file():
        raise DataError(
            f"{path}: expected a folder of class folders or an .npz file, "
            f"found {'another kind of file' if path.exists() else 'nothing'}; check the path"
        )
    return load_npz(path, split)

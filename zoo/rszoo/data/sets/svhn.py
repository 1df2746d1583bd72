"""SVHN: 99,289 photographs of house numbers, cropped to single digits.

Netzer, Wang, Coates, Bissacco, Wu and Ng (2011), http://ufldl.stanford.edu/housenumbers/, without
the part "extra". torchvision reads the files `train_32x32.mat` and `test_32x32.mat`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from rszoo.data.facts import KnownSet

if TYPE_CHECKING:
    from rszoo.data.image_set import ImageSet

SET = KnownSet(
    shape=(3, 32, 32),
    class_names=tuple("0123456789"),
    hub_name="ufldl-stanford/svhn",
)


def load(name: str, split: str, *, root: Path, download: bool) -> "ImageSet":
    """Return a split of SVHN, whose class in torchvision takes its splits by name.

    Raises:
        DataError: the files are missing or damaged, or cannot be downloaded.
    """
    import torch

    from rszoo.data.in_memory import in_memory
    from rszoo.data.torchvision_files import opened, remedy

    folder = root / "SVHN"
    source = opened(
        "SVHN",
        folder,
        {"split": split, "download": download},
        place=folder,
        message=f"{name}: %s; {remedy(download=download)}",
    )
    return in_memory(
        torch.as_tensor(source.data).contiguous(),
        torch.as_tensor(source.labels).long(),
        name=name,
        split=split,
        class_names=SET.class_names,
    )

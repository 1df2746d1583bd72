"""ImageNet (ILSVRC 2012): 1.3 million photographs in a thousand classes, read one by one.

Russakovsky et al. (2015), https://image-net.org. An image is tested as its centre, 224 pixels wide
and high, once its shorter side has 256. Standardisation: Jeong, Kim, Shin (2023),
https://github.com/alinlab/smoothing-catrs, `datasets.py`. The files name each class by all of its
synonyms ("tench, Tinca tinca"), torchvision, which is at hand without them, by one ("tench").
"""

import runpy
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rszoo.data.facts import KnownSet
from rszoo.data.normalization import Normalization

if TYPE_CHECKING:
    from rszoo.data.image_set import ImageSet


def _class_names() -> tuple[str, ...]:
    """Return the names from a file of torchvision, which is a list of them; itself needs torch."""
    package = find_spec("torchvision")
    if package is None or package.origin is None:
        return ()
    listed = Path(package.origin).with_name("models") / "_meta.py"
    found = runpy.run_path(str(listed)) if listed.is_file() else {}
    return tuple(found.get("_IMAGENET_CATEGORIES", ()))


SET = KnownSet(
    shape=(3, 224, 224),
    class_names=_class_names(),
    normalization=Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    hub_name="ILSVRC/imagenet-1k",
)

_SHORTER_SIDE = 256


def load(name: str, split: str, *, root: Path, download: bool) -> "ImageSet":
    """Return a split of ImageNet, which stays on disk; it is never downloaded.

    Raises:
        DataError: the files are missing or damaged.
    """
    import torch

    from rszoo.data.image_files import Files
    from rszoo.data.streamed import streamed
    from rszoo.data.torchvision_files import ELSEWHERE, opened

    folder, part = root / "imagenet", "train" if split == "train" else "val"
    remedy = (
        "it cannot be downloaded freely: put ILSVRC2012_devkit_t12.tar.gz and "
        f"ILSVRC2012_img_{part}.tar there, or {ELSEWHERE}"
    )
    source = opened(
        "ImageNet", folder, {"split": part}, place=folder, message=f"{name}: %s; {remedy}"
    )
    paths, labels = zip(*source.samples, strict=True)
    return streamed(
        Files(paths=paths, shape=SET.shape, shorter_side=_SHORTER_SIDE),
        torch.tensor(labels),
        name=name,
        split=split,
        class_names=[", ".join(names) for names in source.classes],
        base=folder / part,
        normalization=SET.normalization,
    )

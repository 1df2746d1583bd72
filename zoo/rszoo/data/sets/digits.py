"""The handwritten digits that come with scikit-learn: 1,797 grey images, no download.

Alpaydin, Kaynak (1998), https://doi.org/10.24432/C50P49, the test set; every fifth image is a test
image here.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rszoo.data.facts import KnownSet
from rszoo.data.splits import every_fifth

if TYPE_CHECKING:
    from torch import Tensor

    from rszoo.data.image_set import ImageSet

SET = KnownSet(
    shape=(1, 8, 8),
    class_names=tuple("0123456789"),
    digests={
        "train": "15975307d04afa8f8796d0c19b3b28e93eccd4ace6a4a52b5891f65a96dcc492",
        "test": "0e28a7edd0034030decf95dda9e7ccbb5910e449518ff1fe354b2dfd92dee9d1",
    },
)


def load(name: str, split: str, *, root: Path, download: bool) -> "ImageSet":
    """Return a split of the digits; they are always there."""
    from rszoo.data.in_memory import in_memory

    pixels, labels = _both_splits()
    keep = every_fifth(range(len(labels)), split)
    return in_memory(
        pixels[keep], labels[keep], name=name, split=split, class_names=SET.class_names
    )


@cache
def _both_splits() -> "tuple[Tensor, Tensor]":
    """Return all images and labels; scikit-learn reads them from a text, which takes its time."""
    import torch
    from sklearn.datasets import load_digits

    source: Any = load_digits()
    # scikit-learn's pixels are whole numbers from 0 to 16
    pixels = torch.from_numpy((source.images * 255 / 16).round()).to(torch.uint8)
    return pixels.unsqueeze(1), torch.from_numpy(source.target).long()

"""What every data set offers: images in [0, 1] with labels, class names and a digest."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from rszoo.data.known import name_of_own, names
from rszoo.data.normalization import Normalization


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet(ABC):
    """One split of a labelled image data set.

    Attributes:
        name: short name, safe as part of a file name.
        split: "train" or "test".
        class_names: one name per class, in the order of the labels.
        shape: channels, height, width of every image.
        labels: [N] int64, on the set's device.
        digest: sha256 (hex) of the content; equal digests mean equal data.
        normalization: the standardisation customary for this data set, None where there is none.
    """

    name: str
    split: str
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    labels: Tensor = field(repr=False)
    digest: str
    normalization: Normalization | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """Number of classes, whether or not each occurs in this split."""
        return len(self.class_names)

    @abstractmethod
    def images(self, indices: Tensor) -> Tensor:
        """Return the images at `indices` [B], un-augmented: float32 [B, C, H, W] in [0, 1]."""

    @abstractmethod
    def batches(
        self,
        order: Tensor,
        batch_size: int,
        *,
        augment: str = "none",
        generator: torch.Generator | None = None,
        drop_last: bool = False,
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield `(indices [B], images [B, C, H, W], labels [B])` in the given order.

        Images are float32 in [0, 1]; all three are on the set's device.

        Args:
            order: [M] indices into the set; each is visited once per occurrence.
            batch_size: B; the last batch is smaller unless `drop_last`.
            augment: one of `AUGMENTATIONS`.
            generator: source of every random choice of the augmentation; None is torch's global
                one.
            drop_last: leave out the last batch when it is incomplete.

        Raises:
            RszooError: unknown augmentation.
        """

    @abstractmethod
    def to(self, device: torch.device | str) -> "ImageSet":
        """Return the same set with its batches made on `device`."""

    def relabelled(self, labels: Tensor, class_names: Sequence[str]) -> "ImageSet":
        """Return the same images with other labels `[N]`, those of other classes."""
        header = repr((self.digest, tuple(class_names)))
        digest = hashlib.sha256(header.encode())
        digest.update(labels.cpu().contiguous().numpy().data)
        return replace(
            self,
            labels=labels.to(self.labels.device),
            class_names=tuple(class_names),
            digest=digest.hexdigest(),
        )


def short_name(dataset: str) -> str:
    """Return what a data set, given by name or path, is called in the names of files."""
    path = Path(dataset)
    if dataset in names():
        return dataset
    return name_of_own(path.stem if path.suffix == ".npz" else path.resolve().name)

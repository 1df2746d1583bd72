"""Data sets that fit in memory: one tensor of pixels, batches made by indexing."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rszoo.data import augment as augmentation
from rszoo.data.image_set import ImageSet
from rszoo.data.normalization import Normalization


@dataclass(frozen=True, kw_only=True, eq=False)
class InMemory(ImageSet):
    """An image set held as one tensor on one device.

    Attributes:
        pixels: [N, C, H, W], uint8 in [0, 255] or float32 in [0, 1].
    """

    pixels: Tensor = field(repr=False)

    def images(self, indices: Tensor) -> Tensor:
        return unit(self._select(indices))

    def batches(
        self,
        order: Tensor,
        batch_size: int,
        *,
        augment: str = "none",
        generator: torch.Generator | None = None,
        drop_last: bool = False,
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        augmentation.check(augment)
        for indices in order.to(self.labels.device).split(batch_size):
            if drop_last and len(indices) < batch_size:
                return
            x = self._select(indices)
            if augment == "crop_flip":
                x = augmentation.crop_flip(x, generator=generator)
            x = unit(x)
            if augment == "resized_crop_flip":
                x = augmentation.resized_crop_flip(x, generator=generator)
            yield indices, x, self.labels.index_select(0, indices)

    def to(self, device: torch.device | str) -> "InMemory":
        return replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device))

    def _select(self, indices: Tensor) -> Tensor:
        return self.pixels.index_select(0, indices.to(self.pixels.device))


def in_memory(
    pixels: Tensor,
    labels: Tensor,
    *,
    name: str,
    split: str,
    class_names: Sequence[str],
    normalization: Normalization | None = None,
) -> InMemory:
    """Return the set of `pixels` [N, C, H, W] (uint8 or float32) and `labels` [N] int64."""
    channels, height, width = pixels.shape[1:]
    return InMemory(
        name=name,
        split=split,
        class_names=tuple(class_names),
        shape=(channels, height, width),
        labels=labels,
        digest=_digest(pixels, labels, class_names),
        normalization=normalization,
        pixels=pixels,
    )


def unit(x: Tensor) -> Tensor:
    """Return float32 images in [0, 1]."""
    return x.float().div_(255) if x.dtype == torch.uint8 else x


def _digest(pixels: Tensor, labels: Tensor, class_names: Sequence[str]) -> str:
    header = repr((tuple(pixels.shape), str(pixels.dtype), tuple(class_names)))
    digest = hashlib.sha256(header.encode())
    for part in (pixels, labels):
        digest.update(part.cpu().contiguous().numpy().data)
    return digest.hexdigest()

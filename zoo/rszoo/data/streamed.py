"""Data sets too large for memory: images are decoded when needed, batches by worker processes."""

import hashlib
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rszoo._cores import cores
from rszoo.data import augment as augmentation
from rszoo.data.image_files import Files
from rszoo.data.image_set import ImageSet
from rszoo.data.normalization import Normalization
from rszoo.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Streamed(ImageSet):
    """An image set that stays on disk; batches are delivered on the device of its labels.

    Attributes:
        files: where the images are.
        workers: number of processes that decode batches; 0 decodes in this one.
    """

    files: Files
    workers: int

    def images(self, indices: Tensor) -> Tensor:
        read = [self.files.read(int(index)) for index in indices]
        return torch.stack(read).to(self.labels.device).float().div_(255)

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
        chunks = [
            chunk
            for chunk in order.cpu().split(batch_size)
            if not drop_last or len(chunk) == batch_size
        ]
        requests = _requests(chunks, augment == "resized_crop_flip", generator)
        for chunk, read in zip(chunks, self._decoded(requests), strict=True):
            if isinstance(read, DataError):
                raise read
            x = read.to(self.labels.device, non_blocking=True)
            if augment == "crop_flip":
                x = augmentation.crop_flip(x, generator=generator)
            indices = chunk.to(self.labels.device)
            yield indices, x.float().div_(255), self.labels.index_select(0, indices)

    def to(self, device: torch.device | str) -> "Streamed":
        return replace(self, labels=self.labels.to(device))

    def _decoded(self, requests: "list[_Request]") -> "DataLoader[Tensor | DataError]":
        return DataLoader(
            _Reader(self.files),
            batch_size=None,
            sampler=requests,
            num_workers=min(self.workers, len(requests)),
            pin_memory=self.labels.device.type == "cuda",
            # Without one of its own, the loader would draw from the global generator.
            generator=torch.Generator(),
        )


def streamed(
    files: Files,
    labels: Tensor,
    *,
    name: str,
    split: str,
    class_names: Sequence[str],
    base: Path,
    normalization: Normalization | None = None,
) -> Streamed:
    """Return the set of `files` with `labels` [N] int64.

    The digest covers paths relative to `base`, sizes and labels, not pixels.
    """
    return Streamed(
        name=name,
        split=split,
        class_names=tuple(class_names),
        shape=files.shape,
        labels=labels,
        digest=_digest(files.paths, labels, base),
        normalization=normalization,
        files=files,
        workers=min(8, cores()),
    )


_Request = tuple[Tensor, Tensor | None]
"""Indices of one batch, and its random choices [B, CHOICES] where it is cut at random."""


class _Reader(Dataset[Tensor | DataError]):
    """Batches by request; runs in the worker processes."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def __getitem__(self, request: _Request) -> Tensor | DataError:
        indices, choices = request
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of every picture, in every epoch
                return self._read(indices, choices)
        except DataError as error:
            # Raised here, it would reach the user wrapped in the text of a worker's traceback.
            return error

    def _read(self, indices: Tensor, choices: Tensor | None) -> Tensor:
        if choices is None:
            return torch.stack([self.files.read(index) for index in indices.tolist()])
        drawn = zip(indices.tolist(), choices, strict=True)
        return torch.stack([self.files.read_resized_crop(*each) for each in drawn])


def _requests(
    chunks: Sequence[Tensor], resized: bool, generator: torch.Generator | None
) -> list[_Request]:
    if not resized:
        return [(chunk, None) for chunk in chunks]
    count = augmentation.CHOICES
    return [
        (chunk, augmentation.uniforms(len(chunk), count, generator=generator).cpu())
        for chunk in chunks
    ]


def _digest(paths: Sequence[str], labels: Tensor, base: Path) -> str:
    digest = hashlib.sha256()
    rows = sorted(
        (Path(path).relative_to(base).as_posix(), os.path.getsize(path), label)
        for path, label in zip(paths, labels.tolist(), strict=True)
    )
    for row in rows:
        digest.update(repr(row).encode())
    return digest.hexdigest()

"""Which images each step of a training sees: that follows from seed, epoch and process alone."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rszoo.data import ImageSet
from rszoo.errors import RszooError
from rszoo.training.distributed import Processes
from rszoo.training.recipes.sections.common import TrainSpec
from rszoo.training.seeds import derived_seed

__all__ = ["Batch", "Batches"]

#: Indices `[B]`, images `[B, C, H, W]` and labels `[B]` of one step.
Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class Batches:
    """The batches of a training.

    Attributes:
        images: the training set.
        size: different images per step, of all processes together.
        augment: one of `rszoo.data.AUGMENTATIONS`.
        seed: of the run.
        processes: who trains together; each takes an equal share of every batch.
    """

    images: ImageSet
    size: int
    augment: str
    seed: int
    processes: Processes

    @classmethod
    def of(
        cls, images: ImageSet, train: TrainSpec, *, seed: int, processes: Processes
    ) -> "Batches":
        """Return the batches that a recipe asks for; one larger than the data is all of them.

        Raises:
            RszooError: the processes cannot share a batch evenly.
        """
        size = min(train.batch_size, len(images))
        if size % processes.world:
            raise RszooError(
                f"expected a batch size that {processes.world} processes can share evenly, "
                f"got {size}; change train.batch_size"
            )
        return cls(images=images, size=size, augment=train.augment, seed=seed, processes=processes)

    @property
    def steps(self) -> int:
        """The number of whole batches in an epoch."""
        return len(self.images) // self.size

    def of_epoch(self, epoch: int, *, weights: Tensor | None) -> Iterator[Batch]:
        """Seed the noise of an epoch, and yield this process's share of its batches.

        Args:
            epoch: from 0.
            weights: how often each image is drawn, `[N]`; None: each once, in a random order.

        Raises:
            RszooError: all weights are 0.
        """
        order = self._order(epoch, weights)
        shares = order[: self.steps * self.size].view(self.steps, self.size)
        rank, world = self.processes.rank, self.processes.world
        mine = shares[:, rank::world].flatten()
        torch.manual_seed(derived_seed(self.seed, epoch, "noise", rank))
        generator = torch.Generator().manual_seed(derived_seed(self.seed, epoch, "augment", rank))
        for indices, x, y in self.images.batches(
            mine, self.size // world, augment=self.augment, generator=generator
        ):
            yield indices, x.contiguous(memory_format=torch.channels_last), y

    def _order(self, epoch: int, weights: Tensor | None) -> Tensor:
        """Return the images of an epoch, `[N]`, the same in all processes."""
        count = len(self.images)
        shuffle = torch.Generator().manual_seed(derived_seed(self.seed, epoch, "order"))
        if weights is None:
            return torch.randperm(count, generator=shuffle)
        if not weights.any():
            raise RszooError(
                f"epoch {epoch + 1}: expected training images with a sampling weight above 0, got "
                "none: the method gave all of them up; make it less strict"
            )
        return torch.multinomial(weights.cpu(), count, replacement=True, generator=shuffle)

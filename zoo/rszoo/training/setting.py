"""What all trainings of one call have in common: the data, and where and how networks run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from rszoo.data import ImageSet
from rszoo.training.distributed import Processes
from rszoo.training.observer import Observer

__all__ = ["Setting"]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The settings that all trainings of one call have in common.

    Attributes:
        images, test_images: the data set, on the device.
        device, precision: where and how networks run.
        processes: who trains together.
        observer: shown the progress.
        state: the folder of what is neither a bundle nor tracking: checkpoints, caches.
    """

    images: ImageSet
    test_images: ImageSet
    device: torch.device
    precision: str
    processes: Processes
    observer: Observer
    state: Path

    @contextmanager
    def progress(self, task: str, *, total: int, done: int = 0, unit: str) -> Iterator[None]:
        """Show the progress of a task, until it ends or fails."""
        self.observer.started(task, total=total, done=done, unit=unit)
        try:
            yield
        finally:
            self.observer.ended()

"""What all trainings of one call have in common: the data, and where and how networks run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from rszoo.data import ImageSet
from rszoo.methods import Method
from rszoo.networks.cuda_graphs import CudaGraphs
from rszoo.networks.fused.attackable import Attackable, attackable
from rszoo.training.distributed import Processes
from rszoo.training.observer import Observer

__all__ = ["Setting"]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The settings that all trainings of one call have in common.

    Attributes:
        images, test_images: the data set, on the device.
        device, precision: where and how networks run.
        capture: replay steps from CUDA graphs where that is possible.
        fused: evaluate attacks by fused kernels; None: where they fit.
        processes: who trains together.
        observer: shown the progress.
        state: the folder of what is neither a bundle nor tracking: checkpoints, caches.
    """

    images: ImageSet
    test_images: ImageSet
    device: torch.device
    precision: str
    capture: bool
    fused: bool | None
    processes: Processes
    observer: Observer
    state: Path

    def graphs(self, name: str, method: Method) -> CudaGraphs | None:
        """Return what captures the steps of a training; None where none is to be captured.

        The reason is noted, unless it is the user's or there is no GPU.
        """

        def note(why: str) -> None:
            self.observer.note(f"{name}: its steps are not replayed from a CUDA graph: {why}")

        if not self.capture or self.device.type != "cuda":
            return None
        if self.processes.world > 1:
            note("several processes train together")
        elif method.phase is None:
            note(f"the loss of {method.name} may change with every step")
        else:
            return CudaGraphs(self.device, on_obstacle=note)
        return None

    def attackable(self, name: str, network: nn.Module) -> Attackable | None:
        """Return the network of a training for attacks by fused kernels; None for PyTorch's.

        The reason is noted where kernels that should work do not.

        Raises:
            RszooError: the user wants nothing else, and it cannot be.
        """

        def note(why: str) -> None:
            self.observer.note(f"{name}: its attacks are not evaluated by fused kernels: {why}")

        return attackable(
            network,
            self.fused,
            input_shape=self.images.shape,
            precision=self.precision,
            device=self.device,
            on_obstacle=note,
        )

    @contextmanager
    def progress(self, task: str, *, total: int, done: int = 0, unit: str) -> Iterator[None]:
        """Show the progress of a task, until it ends or fails."""
        self.observer.started(task, total=total, done=done, unit=unit)
        try:
            yield
        finally:
            self.observer.ended()

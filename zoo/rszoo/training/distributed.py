"""One process or several: the loop does not know which.

Started plainly there is one process. Under `torchrun` there are as many as it starts; each takes
its share of every batch, gradients are averaged after each, the statistics of batch normalisation
after each epoch, and only the main process writes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["ALONE", "Processes", "is_main_process", "processes"]

_TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True)
class Processes:
    """The processes that train together.

    Attributes:
        rank: this process, from 0.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files, logs and progress."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Add a tensor up over all processes, in place."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def average_gradients(self, network: nn.Module) -> None:
        """Average the gradients over all processes."""
        self._average([p.grad for p in network.parameters() if p.grad is not None])

    def average_statistics(self, network: nn.Module) -> None:
        """Average the running statistics of batch normalisation over all processes."""
        running = ("running_mean", "running_var")
        self._average([b for name, b in network.named_buffers() if name.endswith(running)])

    def _average(self, tensors: list[Tensor]) -> None:
        """Average tensors over all processes, in place and in one message."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        self.sum(flat).div_(self.world)
        for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.world > 1:
            dist.barrier()


#: A single process.
ALONE = Processes()


def is_main_process() -> bool:
    """Return whether this process is the first of those that torchrun started, or alone."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK") == "0"


@contextmanager
def processes(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun started; alone if it did not."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=_TIMEOUT)
    try:
        yield Processes(rank=dist.get_rank(), world=dist.get_world_size())
    finally:
        dist.destroy_process_group()

"""Renewing the per-example data of a method with the network as it is now."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rszoo.data import ImageSet
from rszoo.methods import Method
from rszoo.networks.execution import autocast
from rszoo.training.distributed import ALONE, Processes
from rszoo.training.seeds import derived_seed

__all__ = ["refreshed"]

_BATCH = 250


def refreshed(
    method: Method,
    network: nn.Module,
    images: ImageSet,
    values: Tensor,
    *,
    sigma: float,
    first: bool,
    seed: int,
    precision: str,
    processes: Processes = ALONE,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Tensor:
    """Return the new values of what a method renews, `[N, ...]`.

    Args:
        method: one with a `refresh`.
        network: as trained so far.
        images: the training set, on the network's device; taken un-augmented.
        values: the values of before.
        sigma: noise level.
        first: nothing has been renewed before.
        seed: the noise of a batch depends on (seed, batch) alone.
        precision: "float32" or "bfloat16".
        processes: batches are dealt out to them.
        on_progress: called with the share that is done.
    """
    assert method.refresh is not None  # that is what it was called for
    device = values.device
    new = torch.zeros_like(values)
    batches = torch.arange(len(images)).split(_BATCH)
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(cuda), autocast(device, precision):
        for number in range(processes.rank, len(batches), processes.world):
            torch.manual_seed(derived_seed(seed, number))
            indices = batches[number].to(device)
            x = images.images(indices).to(device).contiguous(memory_format=torch.channels_last)
            y = images.labels[indices]
            new[indices] = method.refresh(network, x, y, values[indices], sigma=sigma, first=first)
            on_progress((number + 1) / len(batches))
    return processes.sum(new)

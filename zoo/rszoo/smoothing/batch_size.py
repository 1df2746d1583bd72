"""The batch size at which a network is fastest, measured on the machine at hand."""

import time

import torch
from torch import nn

from rszoo.networks.execution import autocast, evaluation_mode
from rszoo.smoothing.noise import CHUNK
from rszoo.smoothing.votes import default_batch_size

__all__ = ["measured_batch_size"]

# How far from the usual size a better one is looked for.
_FACTOR = 4

# Rounds, of which the fastest counts: other work on the machine only ever makes them slower.
_ROUNDS = 3

# A larger gain than this share is needed to leave the usual size: less is noise.
_GAIN = 0.05


@torch.inference_mode()
def measured_batch_size(
    network: nn.Module, shape: torch.Size, device: torch.device, precision: str
) -> int:
    """Return the divisor of `CHUNK` near the usual batch size that takes least time per image.

    Args:
        network: on `device`.
        shape: of one input.
        device: where it runs.
        precision: "float32" or "bfloat16".
    """
    usual = default_batch_size(shape, device)
    sizes = [
        size
        for size in range(1, CHUNK + 1)
        if CHUNK % size == 0 and usual <= size * _FACTOR <= usual * _FACTOR**2
    ]
    images = torch.rand((max(sizes), *shape), device=device)
    if images.ndim == 4:
        images = images.contiguous(memory_format=torch.channels_last)
    with evaluation_mode(network), autocast(device, precision):
        network(images)  # memory is allocated, and kernels are chosen, once
        rounds = [
            [_seconds(network, images[:size]) / size for size in sizes] for _ in range(_ROUNDS)
        ]
    fastest = dict(zip(sizes, (min(times) for times in zip(*rounds, strict=True)), strict=True))
    best = min(sizes, key=lambda size: fastest[size])
    return best if fastest[best] < (1.0 - _GAIN) * fastest[usual] else usual


def _seconds(network: nn.Module, batch: torch.Tensor) -> float:
    started = time.perf_counter()
    network(batch).sum().item()  # waits for a GPU
    return time.perf_counter() - started

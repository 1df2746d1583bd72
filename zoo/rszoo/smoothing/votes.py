"""The hot loop: draw noise, run the network, count the classes.

One pass over the chunks; counts stay on the device until the end, memory does not grow with the
number of draws, and no draw costs a Python iteration.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rszoo.errors import RszooError
from rszoo.networks.execution import autocast, evaluation_mode
from rszoo.smoothing.noise import (
    CHUNK,
    STREAM_CHUNKS,
    Stream,
    input_seed,
    standard_normal_chunk,
)

__all__ = ["count_votes", "default_batch_size"]

# Floats of input per forward on a CPU: larger batches fall out of the caches (LeNet is a third
# slower at 2,000 images than at 125).
_CPU_BATCH_FLOATS = 100_000


def default_batch_size(shape: torch.Size, device: torch.device) -> int:
    """Return the number of noisy inputs to run at once, in [1, CHUNK]."""
    if device.type != "cpu":
        return CHUNK
    return max(1, min(CHUNK, _CPU_BATCH_FLOATS // shape.numel()))


@torch.inference_mode()
def count_votes(
    network: nn.Module,
    x: Tensor,
    *,
    sigma: float,
    draws: int,
    stream: Stream,
    seed: int,
    num_classes: int,
    precision: str = "float32",
    batch_size: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> list[int]:
    """Return how often the network answers each class on `draws` noisy copies of one input.

    Guarantee:
        The draws are independent N(x, sigma^2 I) as far as the generator's streams are; draws of
        different `stream`s are never shared. Fewer draws are a prefix of more draws.

    Args:
        network: maps `[B, *shape]` to logits `[B, num_classes]`; run in eval mode.
        x: one input, float32, without a batch axis, on the network's device.
        sigma: standard deviation of the noise.
        draws: how many noisy copies.
        stream: which noise to use.
        seed: run seed.
        precision: "float32" or "bfloat16"; noise and the sum x + noise are always float32.
        batch_size: noisy inputs per forward; None chooses by shape and device.
        on_progress: called with the number of new draws after every chunk.

    Returns:
        `num_classes` counts that add up to `draws`.

    Raises:
        RszooError: the network gives another number of logits, or gives NaN.
        ValueError: more draws than a stream holds.
    """
    if draws > STREAM_CHUNKS * CHUNK:
        raise ValueError(f"expected draws <= {STREAM_CHUNKS * CHUNK}, got {draws=}")
    device = x.device
    batch_size = batch_size or default_batch_size(x.shape, device)
    base = input_seed(x, seed)
    counts = torch.zeros(num_classes, dtype=torch.int64, device=device)
    undefined = torch.zeros((), dtype=torch.int64, device=device)
    with evaluation_mode(network), autocast(device, precision):
        for index in range(-(-draws // CHUNK)):
            noise = standard_normal_chunk(
                x.shape, input_seed=base, chunk=stream + index, device=device
            )
            size = min(CHUNK, draws - index * CHUNK)
            noisy = noise[:size].mul_(sigma).add_(x)
            for batch in noisy.split(batch_size):
                largest, answers = _logits(network, batch, num_classes).max(1)
                undefined += largest.isnan().sum()
                # Unlike bincount, this does not make a GPU wait for the host.
                counts.scatter_add_(0, answers, torch.ones_like(answers))
            if on_progress is not None:
                on_progress(size)
    if undefined:
        raise RszooError(
            f"expected logits that are numbers, got NaN for {int(undefined)} of {draws} draws; "
            "the network's weights are broken"
        )
    return counts.tolist()


def _logits(network: nn.Module, batch: Tensor, num_classes: int) -> Tensor:
    logits = network(batch)
    if logits.shape != (len(batch), num_classes):
        raise RszooError(
            f"expected logits of shape {(len(batch), num_classes)} from the network, got "
            f"{tuple(logits.shape)}; check num_classes"
        )
    return logits

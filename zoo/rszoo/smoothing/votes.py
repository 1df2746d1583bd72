"""The hot loop: draw noise, run the network, count the classes.

One pass over the chunks of noise; counts stay on the device until somebody looks at them, memory
does not grow with the number of draws, and no draw costs a Python iteration.
"""

from collections.abc import Callable, Generator, Iterator, Sequence

import torch
from torch import Tensor, nn

from rszoo.errors import RszooError
from rszoo.networks.execution import autocast, evaluation_mode
from rszoo.smoothing.lattice import add_on_lattice
from rszoo.smoothing.noise import (
    CHUNK,
    STREAM_CHUNKS,
    Stream,
    input_seed,
    standard_normal_chunk,
)

__all__ = ["count_votes", "default_batch_size", "running_votes"]

# Floats of input per forward on a CPU: larger batches fall out of the caches (LeNet is a third
# slower at 2,000 images than at 125).
_CPU_BATCH_FLOATS = 100_000

_DIVISORS = (1000, 500, 250, 200, 125, 100, 50, 40, 25, 20, 10, 8, 5, 4, 2, 1)  # of `CHUNK`


def default_batch_size(shape: torch.Size, device: torch.device) -> int:
    """Return the number of noisy inputs to run at once: a divisor of `CHUNK`."""
    if device.type != "cpu":
        return CHUNK
    most = max(1, _CPU_BATCH_FLOATS // shape.numel())
    return next(size for size in _DIVISORS if size <= most)


def count_votes(
    network: nn.Module,
    x: Tensor,
    *,
    sigma: float,
    draws: int,
    stream: Stream,
    seed: int,
    num_classes: int,
    first: int = 0,
    precision: str = "float32",
    sound: bool = False,
    batch_size: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> list[int]:
    """Return how often the network answers each class on the draws `first` to `draws` - 1.

    Guarantee:
        The draws are independent N(x, sigma^2 I) as far as the generator's streams are, and but
        for what is too far out for it (`rszoo.smoothing.noise.generator_shortfall`); draws of
        different `stream`s are never shared. Fewer draws are a prefix of more draws. The answers
        to independent draws are independent if the network treats the images of a batch one by
        one, which the networks of a classifier are tried for (`rszoo.smoothing.one_by_one`).

    Args and errors are those of `running_votes`.

    Returns:
        `num_classes` counts that add up to `draws` - `first`.
    """
    (counts,) = running_votes(
        network,
        x,
        sigma=sigma,
        looks=[draws],
        first=first,
        stream=stream,
        seed=seed,
        num_classes=num_classes,
        precision=precision,
        sound=sound,
        batch_size=batch_size,
        on_progress=on_progress,
    )
    return counts


@torch.inference_mode()
def running_votes(
    network: nn.Module,
    x: Tensor,
    *,
    sigma: float,
    looks: Sequence[int],
    stream: Stream,
    seed: int,
    num_classes: int,
    first: int = 0,
    precision: str = "float32",
    sound: bool = False,
    batch_size: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Generator[list[int]]:
    """Yield the counts of each class after so many draws, for every one of `looks`.

    Nothing is drawn that is not asked for: whoever stops iterating stops the draws. Close the
    generator then; it holds the network in eval mode.

    Guarantee:
        That of `count_votes`, for the counts at every look.

    Args:
        network: maps `[B, *shape]` to logits `[B, num_classes]`; run in eval mode.
        x: one input, float32, without a batch axis, on the network's device.
        sigma: standard deviation of the noise.
        looks: numbers of draws, increasing.
        stream: which noise to use.
        seed: run seed.
        num_classes: number of classes.
        first: the draw to begin with, the first of a chunk; those before it are not counted.
        precision: "float32" or "bfloat16"; noise and the sum x + noise are always float32.
        sound: draw on the lattice of 8-bit pixels, see `rszoo.smoothing.lattice`.
        batch_size: noisy inputs per forward; None chooses by shape and device.
        on_progress: called with the number of new draws, once a chunk and at every look.

    Raises:
        RszooError: the network gives another number of logits, or gives NaN.
        ValueError: more draws than a stream holds, or `first` is not the first of a chunk.
    """
    if first % CHUNK or not 0 <= first < looks[0]:
        raise ValueError(f"expected first as a multiple of {CHUNK} below {looks[0]}, got {first}")
    if looks[-1] > STREAM_CHUNKS * CHUNK:
        raise ValueError(f"expected at most {STREAM_CHUNKS * CHUNK} draws, got {looks[-1]}")
    device = x.device
    batch_size = batch_size or default_batch_size(x.shape, device)
    counts = torch.zeros(num_classes, dtype=torch.int64, device=device)
    undefined = torch.zeros((), dtype=torch.int64, device=device)
    with evaluation_mode(network):
        dtype = torch.float64 if sound else torch.float32
        for noise, look in _noise_until(
            looks, x, first=first, stream=stream, seed=seed, dtype=dtype
        ):
            noisy = add_on_lattice(x, noise, sigma) if sound else noise.mul_(sigma).add_(x)
            # Not around the loop: a generator leaves inference mode at each yield, and with it,
            # for good, every autocast that it entered within.
            with autocast(device, precision):
                for batch in noisy.split(batch_size):
                    _count(_logits(network, batch, num_classes), counts, undefined)
            if on_progress is not None:
                on_progress(len(noise))
            if look is not None:
                _check_defined(undefined, look)
                yield counts.tolist()


def _noise_until(
    looks: Sequence[int],
    x: Tensor,
    *,
    first: int,
    stream: Stream,
    seed: int,
    dtype: torch.dtype,
) -> Iterator[tuple[Tensor, int | None]]:
    """Yield the noise in pieces that end at chunks and looks, each with the look it ends at."""
    base = input_seed(x, seed)
    done = first
    for index in range(first // CHUNK, -(-looks[-1] // CHUNK)):
        chunk = standard_normal_chunk(
            x.shape, input_seed=base, chunk=stream + index, device=x.device, dtype=dtype
        )
        start, end = index * CHUNK, min((index + 1) * CHUNK, looks[-1])
        reached = [look for look in looks if done < look <= end]
        for stop in sorted({*reached, end}):
            yield chunk[done - start : stop - start], stop if stop in reached else None
            done = stop


def _count(logits: Tensor, counts: Tensor, undefined: Tensor) -> None:
    """Add the answers of a batch to the counts, and those that are NaN to `undefined`."""
    largest, answers = logits.max(1)
    undefined += largest.isnan().sum()
    # Unlike bincount, this does not make a GPU wait for the host.
    counts.scatter_add_(0, answers, torch.ones_like(answers))


def _check_defined(undefined: Tensor, draws: int) -> None:
    if undefined:
        raise RszooError(
            f"expected logits that are numbers, got NaN for {int(undefined)} of {draws} draws; "
            "the network's weights are broken"
        )


def _logits(network: nn.Module, batch: Tensor, num_classes: int) -> Tensor:
    logits = network(batch)
    if logits.shape != (len(batch), num_classes):
        raise RszooError(
            f"expected logits of shape {(len(batch), num_classes)} from the network, got "
            f"{tuple(logits.shape)}; check num_classes"
        )
    return logits

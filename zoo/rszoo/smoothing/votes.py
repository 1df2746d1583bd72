"""The hot loop: draw noise, run the network, count the classes.

One pass over the chunks of noise, on a CPU several chunks at once; counts stay on the device until
somebody looks at them, memory does not grow with the number of draws, and no draw costs a Python
iteration.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import pairwise

import torch
from torch import Tensor, nn

from rszoo.errors import RszooError
from rszoo.networks.execution import evaluation_mode
from rszoo.smoothing import schemes
from rszoo.smoothing.at_once import in_order, is_stateless
from rszoo.smoothing.draws import Draws
from rszoo.smoothing.noise import CHUNK, STREAM_CHUNKS, Stream
from rszoo.smoothing.scheme import Scheme

__all__ = ["count_votes", "default_batch_size", "running_votes"]

# Floats of input per forward on a CPU: larger batches fall out of the caches (LeNet is a third
# slower at 2,000 images than at 125).
_CPU_BATCH_FLOATS = 100_000

# Floats of noise up to a look that are worth threads, which take milliseconds to begin: 3 chunks
# for LeNet, 33 for digits. And floats at a time, of all threads: 512 MiB in float32.
_WORTH_FLOATS, _AT_ONCE_FLOATS = 1 << 21, 1 << 27

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
    scheme: Scheme | None = None,
    first: int = 0,
    precision: str = "float32",
    sound: bool = False,
    batch_size: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> list[int]:
    """Return how often the network answers each class on the draws `first` to `draws` - 1.

    Guarantee:
        The draws are independent N(x, sigma^2 I) as far as the scheme's streams are, and but for
        what is too far out for it (its shortfall, see the files of `rszoo.smoothing.schemes`);
        draws of different `stream`s are never shared. Fewer draws are a prefix of more draws. The
        answers to independent draws are independent if the network treats the images of a batch
        one by one, for which networks of a classifier are tried (`rszoo.smoothing.one_by_one`).

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
        scheme=scheme,
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
    scheme: Scheme | None = None,
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
        scheme: by which noise is drawn; None: the usual one of the device.
        first: the draw to begin with, the first of a chunk; those before it are not counted.
        precision: "float32" or "bfloat16"; noise and the sum x + noise are always float32.
        sound: draw on the lattice of 8-bit pixels, see `rszoo.smoothing.lattice`.
        batch_size: noisy inputs per forward; None chooses by shape and device.
        on_progress: called with the number of new draws, once a chunk and at every look.

    Raises:
        RszooError: the network gives another number of logits, or gives NaN.
        ValueError: more draws than a stream holds, or `first` is not the first of a chunk.
    """
    _check_range(looks, first)
    draws = Draws(
        network=network,
        x=x,
        sigma=sigma,
        scheme=scheme or schemes.load(schemes.usual(x.device)),
        seed=seed,
        stream=stream,
        num_classes=num_classes,
        precision=precision,
        sound=sound,
        batch_size=batch_size or default_batch_size(x.shape, x.device),
    )
    threads = _threads(network, x)
    # The last is of draws without an answer: the logits are no numbers.
    counts = torch.zeros(num_classes + 1, dtype=torch.int64, device=x.device)
    with evaluation_mode(network):
        for look, pieces in _up_to_looks(looks, first):
            with closing(_counted(draws, pieces, threads)) as counted:
                for piece, votes in zip(pieces, counted, strict=True):
                    counts += votes
                    if on_progress is not None:
                        on_progress(len(piece))
            _check_defined(counts[-1], look)
            yield counts[:-1].tolist()


def _check_range(looks: Sequence[int], first: int) -> None:
    if first % CHUNK or not 0 <= first < looks[0]:
        raise ValueError(f"expected first as a multiple of {CHUNK} below {looks[0]}, got {first}")
    if looks[-1] > STREAM_CHUNKS * CHUNK:
        raise ValueError(f"expected at most {STREAM_CHUNKS * CHUNK} draws, got {looks[-1]}")


def _up_to_looks(looks: Sequence[int], first: int) -> Iterator[tuple[int, list[range]]]:
    """Yield each look with the draws up to it, in pieces that end at chunks."""
    for look in looks:
        ends = [*range(first - first % CHUNK + CHUNK, look, CHUNK), look]
        yield look, [range(*piece) for piece in pairwise([first, *ends])]
        first = look


def _threads(network: nn.Module, x: Tensor) -> int:
    """Return how many chunks to work on at once: on a CPU as many as torch has threads."""
    if x.device.type != "cpu" or not is_stateless(network):
        return 1
    return min(torch.get_num_threads(), _AT_ONCE_FLOATS // (CHUNK * x.numel()))


def _counted(draws: Draws, pieces: Sequence[range], threads: int) -> Generator[Tensor]:
    """Yield the votes of each piece; several at once if there are threads for it."""
    floats = draws.x.numel() * sum(map(len, pieces))
    if threads > 1 and len(pieces) > 1 and floats >= _WORTH_FLOATS:
        yield from in_order(draws.count_alone, pieces, threads=threads)
    else:
        yield from map(draws.count, pieces)


def _check_defined(undefined: Tensor, draws: int) -> None:
    if undefined:
        raise RszooError(
            f"expected logits that are numbers, got NaN for {int(undefined)} of {draws} draws; "
            "the network's weights are broken"
        )

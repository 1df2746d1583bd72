"""Noise by counter: every number is a function of (seed, input, chunk, draw, place) alone.

The key of Philox4x32-10 is the seed of the input, 64 bits of a digest (`input_seed`), the lower
half first; the words of its counter are

    c0    pair of numbers in the draw, of the places 2 c0 and 2 c0 + 1
    c1    draw in the chunk, from 0
    c2    chunk, counted through all streams
    c3    0

and the four words that come of it give the two numbers, see `_pairs`. Places count through an
image [C, H, W] by rows, columns and then channels, through anything else as it is stored. Numbers
are float64, rounded once where float32 is asked for.

No state is carried from one number to another, and every operation is one that IEEE 754 or whole
numbers define: the draws are the same to the last bit on any number of threads, in any order, and
on every device. On a CPU NumPy makes them, on a GPU a Triton kernel (`_kernel`), or NumPy where
that does not run.
"""

import warnings
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rszoo.smoothing.noise import CHUNK
from rszoo.smoothing.scheme import Scheme
from rszoo.smoothing.schemes._pairs import normal_pairs
from rszoo.smoothing.schemes._philox import philox
from rszoo.theory.box_muller import unreached_share

__all__ = ["SCHEME", "counter_shortfall", "kernels_draw"]

# Pairs at a time: what is held between two operations stays in a core's cache.
_BLOCK = 1 << 14

# In one launch of a kernel, which counts in 32 bits.
_MOST_PAIRS = 1 << 30


def counter_shortfall(numbers: int) -> float:
    """Return the share of the Gaussian that lies further out than this scheme reaches.

    Guarantee:
        That of `rszoo.smoothing.schemes.generator.generator_shortfall`; the smallest uniform
        number is 2^-64 here, for float32 and float64, on every device: two numbers have a norm of
        9.42 at most.

    Args:
        numbers: of an image, channels x height x width.

    >>> f"{counter_shortfall(3 * 32 * 32):.1e}", f"{counter_shortfall(3 * 224 * 224):.1e}"
    ('8.3e-17', '4.1e-15')
    """
    return unreached_share(numbers, smallest=2.0**-64)


def _draw(
    numbers: int, *, seed: int, chunk: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Return a chunk; see `rszoo.smoothing.scheme.Drawing`.

    Guarantee:
        - All numbers of an input are made from counters of their own, which a key permutes.
        - They are standard normal but for their rounding, and but for `counter_shortfall`.
    """
    if device.type == "cuda" and kernels_draw(device):
        noise = torch.empty((CHUNK, numbers), device=device, dtype=dtype)
        _fill(noise, key=seed, chunk=chunk)
        return noise
    return _by_numpy(CHUNK, numbers, key=seed, chunk=chunk, dtype=dtype).to(device)


def _by_numpy(draws: int, numbers: int, *, key: int, chunk: int, dtype: torch.dtype) -> Tensor:
    """Return the first draws of a chunk, `[draws, numbers]`, on the CPU."""
    pairs = -(-numbers // 2)
    drawn = torch.empty((draws * pairs, 2), dtype=dtype)
    for start in range(0, len(drawn), _BLOCK):
        at = np.arange(start, min(start + _BLOCK, len(drawn)), dtype=np.uint64)
        draw = at // np.uint64(pairs)
        at -= draw * np.uint64(pairs)
        words = philox((at, draw, np.full_like(at, chunk), np.zeros_like(at)), key)
        for place, normal in enumerate(normal_pairs(words)):
            drawn[start : start + len(normal), place] = torch.from_numpy(normal)
    return drawn.view(draws, 2 * pairs)[:, :numbers].contiguous()


def _fill(y: Tensor, *, key: int, chunk: int) -> None:
    """Fill `[draws, numbers]`, on a GPU or in Triton's interpreter, with draws of a chunk."""
    from rszoo.smoothing.schemes import _kernel  # Triton may be missing, and is slow to import

    kernel: Any = _kernel.standard_normals
    draws, numbers = y.shape
    pairs, tile = -(-numbers // 2), 256
    at_once = max(1, _MOST_PAIRS // pairs)
    for first in range(0, draws, at_once):
        some = y[first : first + at_once]
        total = len(some) * pairs
        with torch.cuda.device_of(y):  # Triton asks which one is current
            kernel[(-(-total // tile),)](
                some,
                _signed(key & 0xFFFFFFFF),
                _signed(key >> 32),
                chunk,
                first,
                total,
                PAIRS=pairs,
                NUMBERS=numbers,
                TILE=tile,
                num_warps=4,
                enable_fp_fusion=False,
            )


def _signed(word: int) -> int:
    """Return the number with the same 32 bits whose type Triton always takes for the same."""
    return word - (1 << 32) if word >> 31 else word


@cache
def kernels_draw(device: torch.device) -> bool:
    """Return whether the kernel draws on a GPU, and draws what NumPy does, to the last bit.

    Warns:
        UserWarning: Triton is there, and the kernel does not run or draws something else.
    """
    if find_spec("triton") is None:
        return False
    draws, numbers, key, chunk = 9, 301, 0xFEDCBA9876543210, 7
    expected = _by_numpy(draws, numbers, key=key, chunk=chunk, dtype=torch.float64)
    drawn = torch.empty_like(expected, device=device)
    try:
        _fill(drawn, key=key, chunk=chunk)
        because = "" if torch.equal(drawn.cpu(), expected) else "its numbers are not NumPy's"
    except Exception as error:  # of a compiler, a driver or a card that nobody has tried
        because = (str(error).strip() or type(error).__name__).splitlines()[0]
    if because:
        warnings.warn(f"the kernel for noise by counter is not used: {because}", stacklevel=2)
    return not because


#: Noise by counter, the scheme of new logs on a GPU.
SCHEME = Scheme(name=f"sha256-philox4x32-10-{CHUNK}", seed_bits=64, everywhere=True, draw=_draw)

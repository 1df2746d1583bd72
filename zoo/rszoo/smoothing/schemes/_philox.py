"""Philox4x32-10: four random words of a counter and a key, in whole numbers alone.

Salmon, Moraes, Dror and Shaw (2011), Parallel random numbers: as easy as 1, 2, 3,
https://doi.org/10.1145/2063384.2063405. It passes TestU01's BigCrush, and is the generator of
cuRAND, JAX's and Triton's libraries and of torch on CUDA. A key permutes the counters: of one key
no two counters have the same four words.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Words", "philox"]

#: Words of 32 bits, each in a number of 64, which holds the product of two.
Words: TypeAlias = NDArray[np.uint64]

_ROUNDS = 10
_FACTORS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_INCREMENTS = 0x9E3779B9, 0xBB67AE85
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(counter: tuple[Words, Words, Words, Words], key: int) -> tuple[Words, ...]:
    """Return the four words of each counter under a key.

    Args:
        counter: four words each, arrays of one shape, below 2^32; overwritten.
        key: two words, 64 bits, the first one the lower half.
    """
    c0, c1, c2, c3 = counter
    first, second = np.empty_like(c0), np.empty_like(c2)
    low, high = key & 0xFFFFFFFF, key >> 32
    for _ in range(_ROUNDS):
        np.multiply(c0, _FACTORS[0], out=first)
        np.multiply(c2, _FACTORS[1], out=second)
        np.right_shift(second, _HALF, out=c0)
        c0 ^= c1
        c0 ^= np.uint64(low)
        np.right_shift(first, _HALF, out=c2)
        c2 ^= c3
        c2 ^= np.uint64(high)
        np.bitwise_and(second, _LOW, out=c1)
        np.bitwise_and(first, _LOW, out=c3)
        low = (low + _INCREMENTS[0]) & 0xFFFFFFFF
        high = (high + _INCREMENTS[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3

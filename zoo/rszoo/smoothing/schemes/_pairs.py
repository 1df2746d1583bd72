"""Two standard normal numbers of four random words, by operations that every device rounds alike.

Box and Muller (1958), https://doi.org/10.1214/aoms/1177706645. Of the words w0 to w3

    u = (2^32 w0 + w1 + 1) / 2^64                       uniform in (0, 1]
    t = (2^32 (w2 mod 2^29) + w3) / 2^61                uniform in [0, 1)

the numbers are, at a norm r = sqrt(-2 ln u) and an angle of t pi / 4,

    r sin(t pi / 4)    and    sqrt(r^2 - that^2)

in one of the eight octants: bit 31 of w2 exchanges the two, 30 and 29 are the signs of the larger
and of the smaller.

IEEE 754 defines each sum, product, quotient and square root of float64 to the last bit, but no
logarithm and no sine. Those are therefore series here:

    ln m = 2 artanh s, s = (m - 1) / (m + 1), for u = 2^k m with m in [sqrt(1/2), sqrt(2)),
    2 artanh s = 2 s (1 + s^2 / 3 + ... + s^20 / 21)
    sin x = x (1 - x^2 / (2 3) (1 - x^2 / (4 5) (... (1 - x^2 / (14 15)))))

which end where float64 does. `_kernel` does the same on a GPU; nothing may be contracted to a
fused multiplication and addition, there or here.
"""

import math

import numpy as np
from numpy.typing import NDArray

from rszoo.smoothing.schemes._philox import Words

__all__ = ["normal_pairs"]

_LN_2 = 0.6931471805599453

# The bits of sqrt(1/2) as a float64, and how many of them are the fraction.
_ROOT_HALF, _FRACTION = 0x3FE6A09E667F3BCD, 52

Reals = NDArray[np.float64]


def normal_pairs(words: tuple[Words, ...]) -> tuple[Reals, Reals]:
    """Return two independent standard normal numbers for each four words, float64.

    Guarantee:
        For words that are uniform and independent, u and t are so on multiples of 2^-64 and of
        2^-61, but for their rounding to float64; how far the numbers are from the Gaussian then,
        `rszoo.theory.box_muller` says. What arithmetic adds is below 2^-53 on average.

    Args:
        words: from `rszoo.smoothing.schemes._philox.philox`.
    """
    w0, w1, w2, w3 = words
    square = _square_of_norm(_float(w0) * 2.0**-32 + (_float(w1) + 1.0) * 2.0**-64)
    turn = _float(w2 & np.uint64(0x1FFFFFFF)) * 2.0**-29 + _float(w3) * 2.0**-61
    smaller = np.sqrt(square) * _sine(turn * (math.pi / 4))
    larger = np.sqrt(square - smaller * smaller)
    larger *= 1.0 - 2.0 * _float((w2 >> np.uint64(30)) & np.uint64(1))
    smaller *= 1.0 - 2.0 * _float((w2 >> np.uint64(29)) & np.uint64(1))
    exchanged = w2 >= np.uint64(1 << 31)
    return np.where(exchanged, smaller, larger), np.where(exchanged, larger, smaller)


def _float(words: Words) -> Reals:
    return words.astype(np.float64)


def _square_of_norm(u: Reals) -> Reals:
    """Return -2 ln u, for u in (0, 1]."""
    bits = u.view(np.int64)
    exponent = (bits - _ROOT_HALF) >> _FRACTION
    m = (bits - (exponent << _FRACTION)).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    series = np.full_like(z, 4.0 / 21)
    for odd in range(19, 0, -2):
        series *= z
        series += 4.0 / odd
    series *= s
    return exponent.astype(np.float64) * (-2.0 * _LN_2) - series


def _sine(x: Reals) -> Reals:
    """Return sin x, for x in [0, pi / 4)."""
    z = x * x
    series = 1.0 - z * (1.0 / (14 * 15))
    for even in range(12, 0, -2):
        series *= z * (1.0 / (even * (even + 1)))
        np.subtract(1.0, series, out=series)
    return x * series

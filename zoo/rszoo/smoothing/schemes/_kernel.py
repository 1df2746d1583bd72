"""The noise by counter as a Triton kernel: what `_philox` and `_pairs` compute, to the last bit.

The integers are those of Triton's own Philox4x32-10, which takes a key of 64 bits, the lower half
first, and the four words of a counter as they are. (Its `rand` and `randn` put an offset of 64
bits into the first two words, and make uniform numbers of 31 bits: neither is used.)

It has to be launched with `enable_fp_fusion=False`: a fused multiplication and addition rounds
once where the reference rounds twice.
"""

import math

import triton
import triton.language as tl
from triton.language import constexpr, tensor

__all__ = ["random_words", "standard_normals"]

_LN_2 = tl.constexpr(0.6931471805599453)
_QUARTER_PI = tl.constexpr(math.pi / 4)
_ROOT_HALF = tl.constexpr(0x3FE6A09E667F3BCD)


@triton.jit
def _square_of_norm(u: tensor) -> tensor:
    """Return -2 ln u, for u in (0, 1]."""
    bits = u.to(tl.int64, bitcast=True)
    exponent = (bits - _ROOT_HALF) >> 52
    m = (bits - (exponent << 52)).to(tl.float64, bitcast=True)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    series = tl.full(z.shape, 4.0 / 21, tl.float64)
    for i in tl.static_range(10):  # pyright: ignore[reportGeneralTypeIssues]
        series = series * z + 4.0 / (19 - 2 * i)
    return exponent.to(tl.float64) * (-2.0 * _LN_2) - series * s


@triton.jit
def _sine(x: tensor) -> tensor:
    """Return sin x, for x in [0, pi / 4)."""
    z = x * x
    series = 1.0 - z * (1.0 / (14 * 15))
    for i in tl.static_range(6):  # pyright: ignore[reportGeneralTypeIssues]
        series = 1.0 - series * (z * (1.0 / ((12 - 2 * i) * (13 - 2 * i))))
    return x * series


@triton.jit
def random_words(
    low: tensor, high: tensor, pair: tensor, draw: tensor, chunk: tensor
) -> tuple[tensor, tensor, tensor, tensor]:
    """Return the four words, uint32, of each pair of numbers; all given as int32."""
    key = high.to(tl.uint32, bitcast=True).to(tl.uint64) << 32
    key = key | low.to(tl.uint32, bitcast=True).to(tl.uint64)
    return tl.philox(key, pair, draw, pair * 0 + chunk, pair * 0)


@triton.jit(do_not_specialize=["low", "high", "chunk", "first"])
def standard_normals(
    y: tensor, low: tensor, high: tensor, chunk: tensor, first: tensor, total: tensor,
    PAIRS: constexpr, NUMBERS: constexpr, TILE: constexpr
) -> None:  # fmt: skip
    """Fill y [draws, NUMBERS] with the draws of a chunk from `first` on; `total` pairs.

    `low` and `high` are the two words of the key, as signed numbers.
    """
    at = tl.program_id(0) * TILE + tl.arange(0, TILE)
    draw = at // PAIRS
    pair = at % PAIRS
    words = random_words(low, high, pair, first + draw, chunk)
    w0, w1, w2, w3 = words  # pyright: ignore[reportGeneralTypeIssues]
    u = w0.to(tl.float64) * (2.0**-32) + (w1.to(tl.float64) + 1.0) * (2.0**-64)
    square = _square_of_norm(u)
    turn = (w2 & 0x1FFFFFFF).to(tl.float64) * (2.0**-29) + w3.to(tl.float64) * (2.0**-61)
    smaller = tl.sqrt(square) * _sine(turn * _QUARTER_PI)
    larger = tl.sqrt(square - smaller * smaller)
    larger = larger * (1.0 - 2.0 * ((w2 >> 30) & 1).to(tl.float64))
    smaller = smaller * (1.0 - 2.0 * ((w2 >> 29) & 1).to(tl.float64))
    exchanged = (w2 >> 31) == 1
    one = tl.where(exchanged, smaller, larger).to(y.dtype.element_ty)  # pyright: ignore[reportAttributeAccessIssue]
    other = tl.where(exchanged, larger, smaller).to(y.dtype.element_ty)  # pyright: ignore[reportAttributeAccessIssue]
    place = y + draw.to(tl.int64) * NUMBERS + 2 * pair
    tl.store(place, one, mask=at < total)
    tl.store(place + 1, other, mask=(at < total) & (2 * pair + 1 < NUMBERS))

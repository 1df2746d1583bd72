"""The words of noise by counter as a kernel's output, for tests: numbers keep only some bits."""

import triton
import triton.language as tl
from triton.language import constexpr, tensor

from rszoo.smoothing.schemes._kernel import random_words

__all__ = ["words"]


@triton.jit
def words(
    y: tensor,
    low: tensor,
    high: tensor,
    pair: tensor,
    draw: tensor,
    chunk: tensor,
    SIZE: constexpr,
) -> None:
    """Fill y [4, SIZE], int64, with the words of SIZE pairs."""
    at = tl.arange(0, SIZE)
    given = tl.load(pair + at), tl.load(draw + at)
    found = random_words(low, high, given[0], given[1], chunk)
    for i in tl.static_range(4):  # pyright: ignore[reportGeneralTypeIssues]
        tl.store(y + i * SIZE + at, found[i].to(tl.int64))

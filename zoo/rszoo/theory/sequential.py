"""Exact sequential tests of a binomial proportion: stop as soon as the draws have decided.

Draws are counted at fixed times, the looks. Whether p exceeds a given value is tested at each; the
number of successes that decides is the smallest for which the probability of a wrong decision at
this look or an earlier one stays within a budget that grows from look to look (error spending,
Lan and DeMets, 1983, Biometrika 70). Those probabilities are computed, not bounded: the
distribution of the count over the paths that are still undecided is carried from look to look
(Armitage, McPherson and Rowe, 1969, J. R. Statist. Soc. A 132). The budget grows in proportion to
the draws: a larger one at the start would decide clear cases sooner, and lose more of those that
only all n draws can decide.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Boundary", "boundary", "enough", "looks"]

_FIRST_LOOK = 50
_GROWTH = 1.1

# What is left out of the distributions, and what rounding adds, stays far below this share of
# alpha, or of a small one, below the second number: under 300 looks, each leaving out 2e-14.
_MARGIN = 1e-6
_LEFT_OUT = 1e-11
_TAIL = 1e-14
_SMALLEST_ALPHA = 1e-9
_LARGEST_N = 10_000_000

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Boundary:
    """When the draws have decided whether p exceeds a value.

    Attributes:
        looks: numbers of draws, increasing.
        above: at each look, the successes from which p is larger; look + 1 where none suffices.
        below: at each look, the successes up to which p is smaller; -1 where none suffices.
    """

    looks: Counts
    above: Counts
    below: Counts


def looks(n: int) -> Counts:
    """Return the looks at up to n draws: 50, then each a tenth later than the last, and n.

    >>> looks(100).tolist()
    [50, 55, 61, 68, 75, 83, 92, 100]
    """
    times = [min(_FIRST_LOOK, n)]
    while times[-1] < n:
        times.append(min(n, int(np.ceil(times[-1] * _GROWTH - 1e-9))))
    return np.array(times, dtype=np.int64)


@lru_cache(maxsize=16384)
def boundary(p: float, n: int, alpha: float) -> Boundary:
    """Return the sequential test of whether a proportion exceeds p.

    Guarantee:
        If the true proportion is at most p, the probability that the successes ever reach
        `above` at any look is at most alpha; if it is at least p, the probability that they ever
        fall to `below` is at most alpha. This holds for any rule by which one stops looking.
        The trials must be independent, and the looks must not be chosen by their outcome.

    Args:
        p: in (0, 1).
        n: the last look, from 1 to 10,000,000, for which it takes up to a second.
        alpha: failure probability of either decision, from 1e-9 to below 1.

    Raises:
        ValueError: an argument is out of range.
    """
    above = enough(p, n, alpha)
    times = looks(n)
    return Boundary(looks=times, above=above, below=_fewest(p, times, _budget(times, n, alpha)))


@lru_cache(maxsize=8192)
def enough(p: float, n: int, alpha: float) -> Counts:
    """Return the successes from which a proportion is larger than p, at each look.

    Guarantee:
        That of `boundary`, whose `above` they are.

    Args and errors are those of `boundary`, of which this takes half the time.
    """
    if not (0.0 < p < 1.0 and 1 <= n <= _LARGEST_N and _SMALLEST_ALPHA <= alpha < 1.0):
        raise ValueError(
            f"expected p in (0, 1), n from 1 to {_LARGEST_N}, alpha from {_SMALLEST_ALPHA:g} to "
            f"below 1, got {p=}, {n=}, {alpha=}"
        )
    times = looks(n)
    misses = _fewest(1.0 - p, times, _budget(times, n, alpha))
    return np.where(misses < 0, times + 1, times - misses)


def _budget(times: Counts, n: int, alpha: float) -> NDArray[np.float64]:
    """Return how much of alpha may be spent up to each look."""
    return alpha * (1.0 - max(_MARGIN, _LEFT_OUT / alpha)) * times / n


def _fewest(p: float, times: Counts, budget: NDArray[np.float64]) -> Counts:
    """Return the largest counts k_1, k_2, ... that a count of events reaches rarely.

    At every look i, the probability that the count was at most k_j at some look j <= i is within
    `budget[i]`, for events of probability p; k is -1 where no count is that rare.
    """
    undecided, offset, time, spent = np.ones(1), 0, 0, 0.0
    largest = np.empty(len(times), dtype=np.int64)
    for i, (now, allowed) in enumerate(zip(times, budget, strict=True)):
        undecided, offset = _after(undecided, offset, int(now) - time, p)
        time = int(now)
        reached = spent + np.cumsum(undecided)
        rare = int(np.searchsorted(reached, allowed, side="right"))
        if rare:
            spent = float(reached[rare - 1])
            undecided, offset = undecided[rare:], offset + rare
        # Whoever counts fewer than the undecided has been decided by now, at an earlier look.
        largest[i] = offset - 1
    return largest


def _after(
    undecided: NDArray[np.float64], offset: int, draws: int, p: float
) -> tuple[NDArray[np.float64], int]:
    """Return the distribution of a count (from `offset` on) after more draws, tails cut."""
    more, first = _binomial(draws, p)
    later = np.convolve(undecided, more)
    kept = np.flatnonzero(later > _TAIL / len(later))
    return later[kept[0] : kept[-1] + 1], offset + first + int(kept[0])


def _binomial(draws: int, p: float) -> tuple[NDArray[np.float64], int]:
    """Return the distribution of a count of draws, tails cut, and the first count that is left.

    No tail holds more than `_TAIL`, by Bernstein's inequality: the count exceeds its mean by t
    with probability at most exp(-t^2 / (2 (v + t / 3))), v being its variance, and falls below it
    by t as rarely. What is left follows from the most probable count by the ratios of neighbours,
    and from the sum being 1: to 1e-10 relative, for up to 1e8 draws.
    """
    mean, variance, most = draws * p, draws * p * (1.0 - p), -math.log(_TAIL)
    reach = most / 3.0 + math.sqrt((most / 3.0) ** 2 + 2.0 * most * variance)
    first, last = max(0, math.ceil(mean - reach)), min(draws, math.floor(mean + reach))
    counts = np.arange(first, last + 1)
    ratios = (draws - counts[:-1]) / counts[1:] * (p / (1.0 - p))  # of the next count to each
    mode = min(math.floor(mean + p), last) - first
    left, right = np.cumprod(1.0 / ratios[:mode][::-1])[::-1], np.cumprod(ratios[mode:])
    weights = np.concatenate((left, [1.0], right))
    return weights / weights.sum(), first

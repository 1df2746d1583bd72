"""Sets of neighbouring levels, in which the median of a router's answers certainly lies.

The levels of a router are its experts, in their order. Under noise it answers many of them; its
median is the smallest level k with P(level <= k) >= 1/2. It lies among lowest..highest where
P(level <= highest) and P(level >= lowest) both exceed 1/2, and one more than half is exactly what
a smoothed classifier of two classes certifies (Cohen et al., 2019, Theorem 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeVar

from rszoo.theory.bounds import clopper_pearson_lower

__all__ = ["LevelSet", "certain_levels", "expected_radius", "level_sets", "routed"]

T = TypeVar("T")


@dataclass(frozen=True)
class LevelSet:
    """The levels from `lowest` to `highest`, both included."""

    lowest: int
    highest: int

    @property
    def levels(self) -> range:
        """All levels from the lowest to the highest."""
        return range(self.lowest, self.highest + 1)

    def is_all(self, num_levels: int) -> bool:
        """Return whether there are no other levels."""
        return len(self.levels) == num_levels

    def votes(self, router_votes: Sequence[int]) -> int:
        """Return the votes for the less frequent of the two events: not below, and not above.

        Args:
            router_votes: on each level.
        """
        return min(sum(router_votes[: self.highest + 1]), sum(router_votes[self.lowest :]))


def level_sets(num_levels: int) -> list[LevelSet]:
    """Return all sets of neighbouring levels, the small ones first."""
    return [
        LevelSet(lowest, lowest + more)
        for more in range(num_levels)
        for lowest in range(num_levels - more)
    ]


def routed(among: LevelSet, experts: Sequence[T], router: T) -> tuple[T, ...]:
    """Return the parts that a certificate for a set of levels rests on.

    Args:
        among: the levels.
        experts, router: something of each of the parts.
    """
    own = tuple(experts[level] for level in among.levels)
    return own if among.is_all(len(experts)) else (*own, router)


def certain_levels(router_votes: Sequence[int], alpha: float) -> LevelSet:
    """Return the smallest set that the votes prove to hold the median.

    Guarantee:
        With probability at least 1 - alpha over the draws, the median is in it. It lies below
        only if P(level >= k + 1) > 1/2 was accepted for the median k, of which it is false, and
        above only if P(level <= k - 1) > 1/2 was: two tests that are given before any draw, at
        alpha / 2 each. It assumes that the draws are independent, and each answered alone: not by
        a router that looks at its batch.

    Args:
        router_votes: on each level.
        alpha: failure probability.
    """
    last = len(router_votes) - 1
    draws = sum(router_votes)

    def proven(votes: int) -> bool:
        return clopper_pearson_lower(votes, draws, alpha / 2) >= 0.5

    lowest = max((k for k in range(1, last + 1) if proven(sum(router_votes[k:]))), default=0)
    highest = min((k for k in range(last) if proven(sum(router_votes[: k + 1]))), default=last)
    return LevelSet(lowest, highest)


def expected_radius(votes: int, draws: int, sigma: float, *, cap: float) -> float:
    """Return the radius that `votes` of `draws` let one expect, without any confidence.

    Args:
        votes, draws: on the event in question, and in all.
        sigma: standard deviation of the noise.
        cap: the most that can be certified.
    """
    return min(cap, max(0.0, sigma * NormalDist().inv_cdf((votes + 0.5) / (draws + 1))))

"""Do the votes of a log and fresh votes come from the same networks? Tests on counts alone.

One row is tested by Fisher's test, `rszoo.theory.bounds.same_proportion_p_value`. A fault that is
the same in all rows, such as votes that are each half a percent too many, is too small to be seen
in any, and not to be missed in all of them together. p differs from row to row and is not known,
and so everything is conditional on each row's total: of the T votes in n + m draws, n of the log
and m fresh, the log's are hypergeometric, whatever p is, if both come from the same network. Two
sums over the rows are compared with such sums that are simulated:

    pooled       the votes of the log: large, if votes are claimed too high
    dispersion   (votes - mean)^2 / variance: large, if they vary more than that many draws do

Multiplying the votes of few draws, for one, leaves the first as it was, and blows up the second.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc

from rszoo.theory.bounds import clopper_pearson_lower

__all__ = [
    "PARTS",
    "Counts",
    "Together",
    "agreeing",
    "flips_p_value",
    "power",
    "stopped_p_value",
    "together",
]

#: How many tests share the level of a verification, each an equal part of it: the replay under
#: the log's own seed, the rows one by one, all rows pooled, and their dispersion.
PARTS = 4

# Simulations, in units of one over the level they have to resolve; and the least and the most.
_RESOLUTION, _FEWEST, _MOST = 5, 400, 100_000

# Logs that are simulated to say what would have been found.
_RUNS = 1_000

# numpy simulates hypergeometric counts of fewer draws than these.
_SIMULATED = 10**9

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts:
    """The votes on one class in each row of a log, and fresh ones, `[R]` each.

    Attributes:
        votes, draws: of the log.
        new_votes, new_draws: fresh.
    """

    votes: Integers
    draws: Integers
    new_votes: Integers
    new_draws: Integers

    @cached_property
    def total(self) -> Integers:
        """The votes of log and fresh draws together."""
        return self.votes + self.new_votes

    @cached_property
    def all_draws(self) -> Integers:
        """The draws of the log and the fresh ones together."""
        return self.draws + self.new_draws

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """The log's votes to expect, given the total."""
        return self.draws * (self.total / self.all_draws)

    @cached_property
    def variance(self) -> NDArray[np.float64]:
        """The variance of the log's votes, given the total; 0 where it allows only one number."""
        share = self.total / self.all_draws
        spread = share * (1.0 - share) * self.draws * self.new_draws
        return spread / np.maximum(self.all_draws - 1, 1)

    def telling(self) -> "Counts":
        """Return the rows whose total leaves the log's votes open, and can be simulated."""
        kept = (self.variance > 0.0) & (self.all_draws < _SIMULATED)
        names = ("votes", "draws", "new_votes", "new_draws")
        return Counts(**{name: getattr(self, name)[kept] for name in names})


@dataclass(frozen=True, kw_only=True)
class Together:
    """What all rows of a log say together, compared with fresh draws.

    Attributes:
        rows: how many.
        excess: votes of the log above what fresh draws let expect, per draw of the log; negative
            where there are fewer.
        pooled_p: how likely so many votes are, if the log is true.
        dispersion_p: how likely votes so far from those expected are, if the log is true.
        simulations: on which both rest.
        critical: standard errors of the excess above which the pooled test finds fault.
        critical_distance: sum of squared standard errors of the rows, without those that can tell
            nothing, above which they are found to vary too much.
    """

    rows: int
    excess: float
    pooled_p: float
    dispersion_p: float
    simulations: int
    critical: float
    critical_distance: float


def together(counts: Counts, *, level: float, seed: int) -> Together:
    """Test all rows of a log at once, given the total of each.

    Guarantee:
        If in each row both samples have the same proportion, whichever, and rows and draws are
        independent, then for every a in (0, 1):

        - `pooled_p` is at most a with probability at most a;
        - `dispersion_p` is at most a with probability at most a.

        Given the totals, the log's votes have the distribution that is simulated, which depends on
        no unknown; log and simulations are exchangeable, and so the rank of the log among them,
        ties counted against it, is as uniform as it can be. This holds for any number of
        simulations.

    Args:
        counts: of rows that are independent of each other, no input twice.
        level: of either test; decides how many simulations resolve it.
        seed: of the simulations.
    """
    told = counts.telling()
    size = min(max(math.ceil(_RESOLUTION / level), _FEWEST), _MOST) - 1
    votes, distance = _simulated(told, size, np.random.default_rng([seed, len(told.votes)]))
    sum_of_votes = int(told.votes.sum())
    # A tie is a tie in floating point too.
    far = float(((told.votes - told.mean) ** 2 / told.variance).sum()) * (1.0 - 1e-9)
    rare = math.floor(level * (size + 1))  # the rank up to which the p-value is at most the level
    deviation = math.sqrt(float(told.variance.sum()))
    resolved = rare >= 1 and deviation > 0.0
    most = _largest(votes, rare) if resolved else math.inf
    return Together(
        rows=len(counts.votes),
        excess=float((counts.votes - counts.mean).sum() / max(1, counts.draws.sum())),
        pooled_p=float(1 + (votes >= sum_of_votes).sum()) / (size + 1),
        dispersion_p=float(1 + (distance >= far).sum()) / (size + 1),
        simulations=size,
        critical=(most - float(told.mean.sum())) / deviation if resolved else math.inf,
        critical_distance=_largest(distance, rare) if resolved else math.inf,
    )


def _largest(values: Integers | NDArray[np.float64], rank: int) -> float:
    """Return the value of a rank from above, 1 for the largest."""
    return float(np.partition(values, len(values) - rank)[len(values) - rank])


def _simulated(
    counts: Counts, size: int, rng: np.random.Generator
) -> tuple[Integers, NDArray[np.float64]]:
    """Return the sums of votes and of squared distances of true logs with the same totals."""
    votes, distance = np.zeros(size, dtype=np.int64), np.zeros(size)
    rows = zip(
        counts.total, counts.all_draws, counts.draws, counts.mean, counts.variance, strict=True
    )
    for total, all_draws, draws, mean, variance in rows:
        drawn = rng.hypergeometric(total, all_draws - total, draws, size=size)
        votes += drawn
        distance += (drawn - mean) ** 2 / variance
    return votes, distance


def power(counts: Counts, *, excess: float, critical: float, seed: int) -> float:
    """Return how likely the pooled test finds votes that are a share too high in every row.

    True logs are simulated whose proportions are those of this one, each vote count is raised by
    the share, up to all draws, and fresh votes are drawn. Found is what lies more than `critical`
    standard errors too high, which approximates the test: whose border moves a little with the
    totals.

    Args:
        counts: of the log; its fresh votes are not looked at.
        excess: 0.01 for votes 1 % too high.
        critical: of the `Together` of these counts.
        seed: of the simulations.

    Returns:
        A share of the simulations, one of which more than there are is counted as not found.
    """
    if not math.isfinite(critical):
        return 0.0
    rng, size = np.random.default_rng([seed, _RUNS]), (_RUNS, len(counts.votes))
    share = counts.votes / counts.draws
    votes = np.rint(rng.binomial(counts.draws, share, size=size) * (1.0 + excess))
    forged = Counts(
        votes=np.minimum(counts.draws, votes.astype(np.int64)),
        draws=counts.draws,
        new_votes=rng.binomial(counts.new_draws, share, size=size),
        new_draws=counts.new_draws,
    )
    high = (forged.votes - forged.mean).sum(1)
    found = high > critical * np.sqrt(forged.variance.sum(1))
    return float(found.sum()) / (_RUNS + 1)


def stopped_p_value(votes: int, draws: int, looks: int, new_votes: int, new_draws: int) -> float:
    """Return the p-value of fresh votes against votes that a sequential test has stopped at.

    Where such a test stops depends on its votes, so that they are no sample of their proportion;
    they bound it from below. For each a, half of it is for the bound and half for the fresh draws:
    the Clopper-Pearson bound at a / 2, divided by the looks, and the tail below it at a / 2.

    Guarantee:
        If the votes were counted at one of the looks, whatever made it that one, and both samples
        have the same proportion p, the p-value is at most a with probability at most a, for every
        a in (0, 1): for it to be, p must lie below the bound of some look (a / 2 at most, over all
        looks), or so few fresh votes must have had the probability a / 2 at most.

    Args:
        votes, draws: of the log, at the look; the votes may be fewer than were counted.
        looks: how many times the test might have stopped.
        new_votes, new_draws: fresh.

    >>> stopped_p_value(50, 50, 80, 900, 1000) > 0.5, stopped_p_value(50, 50, 80, 0, 1000) < 1e-9
    (True, True)
    """

    def rejects(a: float) -> bool:
        bound = clopper_pearson_lower(votes, draws, a / (2 * looks))
        return float(bdtr(new_votes, new_draws, bound)) <= a / 2

    if not rejects(1.0):
        return 1.0
    low, high = -300.0, 0.0  # of log10; the upper end rejects
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if rejects(10.0**middle) else (middle, high)
    return 10.0**high


def flips_p_value(flips: int, draws: int, share: float) -> float:
    """Return how likely so many draws are answered otherwise, if each is with a probability.

    Args:
        flips: how many are, at least.
        draws: of the same noise.
        share: the probability, at most; 0 where none may be.

    >>> flips_p_value(0, 1000, 0.0), flips_p_value(1, 1000, 0.0)
    (1.0, 0.0)
    """
    return 1.0 if flips <= 0 else float(bdtrc(flips - 1, draws, share))


def agreeing(p_values: Sequence[float], *, level: float) -> list[bool]:
    """Return which of several tests find no fault at a level for all of them.

    Guarantee:
        If each p-value is at most a with probability at most a, for every a, then some test finds
        fault with probability at most `level`, however they depend on each other (Bonferroni).

    >>> agreeing([0.02, 0.04], level=0.05)
    [False, True]
    """
    return [p_value >= level / len(p_values) for p_value in p_values]

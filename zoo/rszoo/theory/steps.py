"""Bounds of a proportion that hold at every look, on a grid of normal quantiles.

Step s stands for the proportion Phi(s / 40). Whether p exceeds it is asked of all steps by
sequential tests at the same alpha (`rszoo.theory.sequential`). Nothing is paid for asking many:
successes that decide for a step decide for every smaller one, so that one which p does not exceed
is decided only if the smallest such step is, and p alone says which that is.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from rszoo.theory.radii import exceeding, largest_radius
from rszoo.theory.sequential import Counts, enough, looks

__all__ = [
    "STEPS",
    "Steps",
    "most_steps",
    "proportion",
    "step_of",
    "steps",
    "steps_needed",
]

#: Steps to one standard deviation: a bound is too small by 1/40 of one at most.
STEPS = 40

# Of the number of steps that a radius needs: what its arithmetic may be wrong by, and far less
# than proportions are rounded up by.
_DIGITS = 2.0**-46


@dataclass(frozen=True, eq=False)
class Steps:
    """Sequential tests of whether a proportion exceeds that of each step.

    Guarantee:
        Let p be the proportion of independent trials. The probability that at any look `decided`
        gives a step whose proportion is at least p is at most alpha, whatever p is.

    Attributes:
        first: the smallest step; the others follow one by one.
        looks: numbers of draws, `[L]`.
        above: successes that decide for each step at each look, `[S, L]`; no fewer for a larger.
        below: successes at which a step is given up, `[S, L]`: n draws will hardly decide for it.
            That costs radius, never truth.
    """

    first: int
    looks: Counts
    above: Counts
    below: Counts

    def decided(self, successes: int, look: int) -> int:
        """Return the largest step that p exceeds by the successes at a look; or first - 1."""
        return self.first - 1 + int((successes >= self.above[:, look]).sum())

    def possible(self, successes: int, look: int) -> int:
        """Return the largest step that is not given up at a look; or first - 1."""
        kept = np.flatnonzero(successes > self.below[:, look])
        return self.first + int(kept[-1]) if kept.size else self.first - 1


def proportion(step: int) -> float:
    """Return the proportion that a step stands for, Phi(step / 40), rounded up."""
    return exceeding(step / STEPS)


def step_of(p: float) -> int:
    """Return the step whose proportion is nearest to p in its quantile, p in (0, 1).

    >>> step_of(proportion(-7)), step_of(0.5)
    (-7, 0)
    """
    return round(STEPS * float(ndtri(p)))


def steps_needed(radius: float, sigma: float) -> int:
    """Return the sum of two steps that certifies a radius: 2 radius / sigma in steps, rounded up.

    Guarantee:
        If a class's probability under N(0, sigma^2 I) noise exceeds `proportion(a)`, and that of
        all but c exceeds `proportion(b)` for each other class c, with a + b no less than the
        returned number, no perturbation of L2 norm up to `radius` changes the smoothed
        classifier's answer.

        Proof: Phi^-1 of each probability is 1/sigma-Lipschitz (Salman et al., 2019,
        https://arxiv.org/abs/1906.04584, Lemma 2). That of the class is above
        a / 40 - radius / sigma within the radius, that of c below -b / 40 + radius / sigma, which
        is no more.

    Args:
        radius: pixel units, finite, at least 0.
        sigma: standard deviation of the noise, in pixel units, positive and finite.

    >>> steps_needed(0.0, 0.5), steps_needed(0.25, 0.5), steps_needed(0.26, 0.5)
    (0, 40, 42)
    """
    return math.ceil(2 * STEPS * (radius / sigma) * (1.0 - _DIGITS))


def most_steps(n: int, alpha: float) -> int:
    """Return the largest step that all of n draws may decide for."""
    return int(STEPS * largest_radius(n, alpha, 1.0))


@lru_cache(maxsize=8)
def steps(n: int, alpha: float) -> Steps:
    """Return the tests of all steps that n draws can tell apart.

    Args:
        n: the last look, from 1 to 10,000,000; 100,000 take two seconds.
        alpha: failure probability, from 1e-9 to below 1.

    Raises:
        ValueError: an argument is out of range.
    """
    last, times = most_steps(n, alpha), looks(n)
    tests = [enough(proportion(step), n, alpha) for step in range(-last, last + 1)]
    above = np.maximum.accumulate(tests)
    return Steps(first=-last, looks=times, above=above, below=_hopeless(above, times, last))


def _hopeless(above: Counts, times: Counts, last: int) -> Counts:
    """Return the successes, at each look, up to which n draws are not going to decide for a step.

    That a proportion is below that of a step is decided by failures, for the opposite step.
    Compared is the proportion at which all n draws would decide every second time.
    """
    n = int(times[-1])
    everytime = np.floor(STEPS * ndtri(np.minimum(above[:, -1] / n, 1.0 - 0.5 / n)))
    opposite = last - np.clip(everytime, -last, last).astype(np.int64)
    below = times - above[opposite]
    return np.where(above[:, -1:] > n, times, below)

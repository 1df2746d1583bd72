"""Certified at these radii? As few draws as possible, and the same promise.

For each radius r the sequential test of `rszoo.theory.sequential` asks whether the class's
probability exceeds Phi(r / sigma). The questions are nested: whoever is certified at r is so at
every smaller radius. A radius therefore counts only at a look at which all smaller ones count as
well; then a wrong certificate needs a wrong answer to one single question, the smallest radius at
which the class is not certifiable, and nothing has to be paid for asking many.

What early answers cost is certified accuracy just beside a radius: n = 100,000 draws that are all
looked at certify a proportion three standard errors above Phi(r / sigma) in 46 % of all cases,
these tests in 36 %; four above, 82 and 72 %. At sigma = 0.5 and r = 0.5 such a standard error is
0.0024 of radius.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.certificates.work import Test, check_work
from rszoo.errors import listed
from rszoo.theory.radii import largest_radius, needed_probability
from rszoo.theory.rounding import floor_digits
from rszoo.theory.sequential import Boundary, boundary, looks

__all__ = [
    "Decision",
    "RadiusTests",
    "check_radii",
    "decided",
    "largest_left",
    "largest_of",
    "radii_up_to",
    "radius_grid",
]

# Radii of the grid within one tolerance: more waste fewer draws, and take longer to prepare.
_FINENESS = 4

# More than the sum of two radii is wrong by, as a share of it.
_ROUNDING = 2.0**-48


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Which of some radii the draws have certified, when nothing was left to decide.

    Attributes:
        certified: how many, from the smallest on.
        look: at which they were first certified; without any, the last one.
        draws: up to that look.
        spent: draws up to the last look.
    """

    certified: int
    look: int
    draws: int
    spent: int


@dataclass(frozen=True, eq=False)
class RadiusTests:
    """The tests of one certification: which radii, and when the draws have decided them.

    Attributes:
        radii: increasing, pixel units.
        sigma, n, alpha: as in a `Certificate`.
        tolerance: nothing more is drawn once the certified radius is within it of the smallest
            radius that is known to be out of reach; 0 decides every radius.
        looks: numbers of draws, `[L]`.
        above, below: votes that decide each radius at each look, `[R, L]`.
    """

    radii: tuple[float, ...]
    sigma: float
    n: int
    alpha: float
    tolerance: float
    looks: NDArray[np.int64]
    above: NDArray[np.int64]
    below: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        radii: Sequence[float],
        *,
        sigma: float,
        n: int,
        alpha: float,
        tolerance: float = 0.0,
    ) -> "RadiusTests":
        """Prepare the tests of some radii.

        Raises:
            ValueError: no radii, one that n draws cannot certify, more than the log could say, or
                a negative tolerance.
        """
        ordered = check_radii(
            radii,
            cap=largest_radius(n, alpha, sigma),
            n=n,
            alpha=alpha,
            tolerance=tolerance,
        )
        check_work(Test(radius, sigma, n, alpha) for radius in ordered)
        tests = [boundary(needed_probability(radius, sigma), n, alpha) for radius in ordered]
        return cls(
            radii=ordered,
            sigma=sigma,
            n=n,
            alpha=alpha,
            tolerance=tolerance,
            looks=looks(n),
            above=np.maximum.accumulate([test.above for test in tests]),
            below=np.stack([_hopeless(test, n=n, alpha=alpha) for test in tests]),
        )

    def certificate(
        self, candidate: int, votes: Iterable[int], *, n0: int, within: float = math.inf
    ) -> Certificate:
        """Return the largest radius that the votes certify, taking no more than are needed.

        Guarantee:
            With probability at least 1 - alpha over the draws: the certificate abstains, or the
            smoothed classifier answers `candidate` at every point closer than `radius`, at
            whatever look the votes ended. It assumes that the draws are independent of each
            other and of the choice of `candidate`, and each answered alone: not by a network
            that looks at its batch.

        Args:
            candidate: the class that the votes are for.
            votes: on it among the first `looks[0]`, `looks[1]`, ... draws.
            n0: draws for its selection.
            within: no radius beyond this one is wanted, whatever has made it so.
        """
        counted: list[int] = []

        def verdicts() -> Iterator[tuple[int, int]]:
            for i, count in enumerate(votes):
                counted.append(count)
                excluded = np.flatnonzero(count <= self.below[:, i])
                reachable = int(excluded[0]) if excluded.size else len(self.radii)
                yield int((count >= self.above[:, i]).sum()), reachable

        how = {"looks": self.looks, "tolerance": self.tolerance}
        wanted = bisect_right(self.radii, within)
        given = decided(verdicts(), radii=self.radii, wanted=wanted, **how)
        certified = given.certified
        radius = self.radii[certified - 1] if certified else 0.0
        return Certificate(
            label=candidate if certified else ABSTAIN,
            radius=radius,
            p_lower=needed_probability(radius, self.sigma) if certified else 0.0,
            candidate=candidate,
            votes=counted[given.look],
            n0=n0,
            n=self.n,
            alpha=self.alpha,
            sigma=self.sigma,
            draws=given.draws,
            spent=given.spent,
        )

    def of_runs(self, candidate: int, runs: Iterable[Sequence[int]], *, n0: int) -> Certificate:
        """Return the same as `certificate`, for the votes on each class at each look.

        Guarantee:
            That of `certificate`.
        """
        return self.certificate(candidate, (votes[candidate] for votes in runs), n0=n0)


def check_radii(
    radii: Sequence[float], *, cap: float, n: int, alpha: float, tolerance: float
) -> tuple[float, ...]:
    """Return radii in order, each once, if they can be certified.

    Args:
        radii: pixel units.
        cap: the largest that n draws certify at alpha.
        n, alpha, tolerance: as in `RadiusTests`.

    Raises:
        ValueError: no radii, one beyond the cap, or a negative tolerance.
    """
    if not tolerance >= 0.0:
        raise ValueError(f"expected tolerance >= 0, got {tolerance=}")
    ordered = tuple(sorted({float(radius) for radius in radii}))
    beyond = [radius for radius in ordered if not 0.0 <= radius <= cap]
    if beyond or not ordered:
        raise ValueError(
            f"expected radii from 0 to {floor_digits(cap, 4)}, the most that {n=} draws "
            f"certify at {alpha=} under this noise, got {listed(map(str, beyond)) or 'none'}"
        )
    return ordered


def decided(
    verdicts: Iterable[tuple[int, int]],
    *,
    radii: Sequence[float],
    looks: NDArray[np.int64],
    tolerance: float,
    wanted: int | None = None,
) -> Decision:
    """Return which radii are certified, taking no more verdicts than are needed.

    Args:
        verdicts: at each look, how many radii are certified, and how many not yet out of reach;
            from the smallest on.
        radii: increasing.
        looks, tolerance: as in `RadiusTests`.
        wanted: that so many are certified is all that is wanted; None: all of them.
    """
    certified, reachable, spent = 0, len(radii), 0
    look = draws = 0
    for i, (now, left) in enumerate(verdicts):
        spent = int(looks[i])
        if now > certified or not certified:
            certified, look, draws = max(now, certified), i, spent
        reachable = min(reachable, left)
        if certified >= reachable or (wanted is not None and certified >= wanted):
            break
        beyond = radii[min(reachable, len(radii) - 1)]
        if certified and beyond - radii[certified - 1] <= tolerance:
            break
    return Decision(certified=certified, look=look, draws=draws, spent=spent)


def _hopeless(test: Boundary, *, n: int, alpha: float) -> NDArray[np.int64]:
    """Return the votes, at each look, up to which n draws are not going to certify.

    Tested is the proportion at which all n draws would certify every second time: it, and any
    larger one, is given up with probability alpha at most. Giving up costs radius, never truth.
    """
    needed = min(int(test.above[-1]) / n, 1.0 - 0.5 / n)
    return boundary(needed, n, alpha).below


def largest_left(lost: float, *, sigma: float, n: int, alpha: float) -> float:
    """Return the largest radius that n draws certify, less what is lost of each; rounded down."""
    cap = largest_radius(n, alpha, sigma)
    return cap - lost if lost == 0.0 else (cap - lost) - _ROUNDING * cap


def largest_of(
    ways: Sequence[Sequence[float]], *, n: int, alpha: float, lost: float = 0.0
) -> float:
    """Return the largest radius that parts certify together, n draws each; rounded down.

    Args:
        ways: the noise levels of all parts that a certificate rests on, in each of the ways that
            there are.
        n, alpha: of each part.
        lost: what is lost of each radius.
    """

    # It grows with the noise level.
    return largest_left(lost, sigma=max(map(min, ways)), n=n, alpha=alpha)


def radius_grid(*, sigma: float, n: int, alpha: float, tolerance: float) -> tuple[float, ...]:
    """Return radii from 0 to the largest that n draws certify, four to every tolerance."""
    return radii_up_to(largest_radius(n, alpha, sigma), tolerance)


def radii_up_to(cap: float, tolerance: float) -> tuple[float, ...]:
    """Return radii from 0 to a largest one, four to every tolerance."""
    step = tolerance / _FINENESS
    if cap < 0.0:
        return ()
    return tuple(step * i for i in range(int(cap / step) + 1))

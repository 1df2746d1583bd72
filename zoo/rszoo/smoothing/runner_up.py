"""Certified at these radii, with a bound of the runner-up: as few draws as possible.

The tests and their proof are those of `rszoo.certificates.kinds.early_runner_up`: the candidate's
probability, and that of all classes but each other one, are bounded at every look. A radius that
the two bounds give is certified. What n draws are not going to give is given up, as in
`rszoo.smoothing.decisions`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rszoo.certificates.base import Certificate
from rszoo.certificates.kinds.early_runner_up import early_certificate, work
from rszoo.certificates.work import check_work
from rszoo.smoothing.decisions import check_radii, decided
from rszoo.theory.sequential import Counts
from rszoo.theory.steps import STEPS, Steps, most_steps, steps, steps_needed

__all__ = ["RunnerUpTests", "check_steps", "largest_between"]


@dataclass(frozen=True, eq=False)
class RunnerUpTests:
    """The tests of one certification with a bound of the runner-up.

    Attributes:
        radii: increasing, pixel units.
        needed: by radius, the sum of the two steps that certifies it.
        sigma, n, alpha: as in a `Certificate`.
        tolerance: nothing more is drawn once the certified radius is within it of the smallest
            radius that is known to be out of reach; 0 decides every radius.
        steps: the tests at alpha / 2, which both bounds have in common.
    """

    radii: tuple[float, ...]
    needed: tuple[int, ...]
    sigma: float
    n: int
    alpha: float
    tolerance: float
    steps: Steps

    @classmethod
    def of(
        cls,
        radii: Sequence[float],
        *,
        sigma: float,
        n: int,
        alpha: float,
        tolerance: float = 0.0,
    ) -> "RunnerUpTests":
        """Prepare the tests of some radii.

        Raises:
            ValueError: no radii, one that n draws cannot certify, more work than a log could
                be checked with, or a negative tolerance.
        """
        cap = largest_between(n=n, alpha=alpha, sigma=sigma)
        ordered = check_radii(radii, cap=cap, n=n, alpha=alpha, tolerance=tolerance)
        check_steps(n=n, alpha=alpha)
        return cls(
            radii=ordered,
            needed=tuple(steps_needed(radius, sigma) for radius in ordered),
            sigma=sigma,
            n=n,
            alpha=alpha,
            tolerance=tolerance,
            steps=steps(n, alpha / 2),
        )

    @property
    def looks(self) -> Counts:
        """The numbers of draws at which it is looked, `[L]`."""
        return self.steps.looks

    def of_runs(self, candidate: int, runs: Iterable[Sequence[int]], *, n0: int) -> Certificate:
        """Return the largest radius that the votes certify, taking no more than are needed.

        Guarantee:
            With probability at least 1 - alpha over the draws: the certificate abstains, or the
            smoothed classifier answers `candidate` at every point closer than `radius`, at
            whatever look the votes ended. It assumes that the draws are independent of each
            other and of the choice of `candidate`, and each answered alone: not by a network
            that looks at its batch.

        Args:
            candidate: the class that is certified.
            runs: votes on each class among the first `looks[0]`, `looks[1]`, ... draws.
            n0: draws for the candidate's selection.
        """
        counted: list[Sequence[int]] = []

        def verdicts() -> Iterator[tuple[int, int]]:
            for look, counts in enumerate(runs):
                counted.append(counts)
                yield (
                    self._within(sum(self._decided(candidate, counts, look))),
                    self._within(sum(self._possible(candidate, counts, look))),
                )

        how = {"looks": self.looks, "tolerance": self.tolerance}
        given = decided(verdicts(), radii=self.radii, **how)
        counts = counted[given.look]
        return early_certificate(
            candidate,
            counts,
            radius=self.radii[given.certified - 1] if given.certified else None,
            steps=self._decided(candidate, counts, given.look),
            n0=n0,
            n=self.n,
            alpha=self.alpha,
            sigma=self.sigma,
            spent=given.spent,
        )

    def _within(self, total: int) -> int:
        """Return how many radii a sum of steps is enough for."""
        return sum(needed <= total for needed in self.needed)

    def _decided(self, candidate: int, counts: Sequence[int], look: int) -> tuple[int, int]:
        one, other = _events(candidate, counts)
        return self.steps.decided(one, look), self.steps.decided(other, look)

    def _possible(self, candidate: int, counts: Sequence[int], look: int) -> tuple[int, int]:
        one, other = _events(candidate, counts)
        return self.steps.possible(one, look), self.steps.possible(other, look)


def largest_between(*, n: int, alpha: float, sigma: float) -> float:
    """Return the largest radius that n draws certify with a bound of the runner-up."""
    return sigma * most_steps(n, alpha / 2) / STEPS


def check_steps(*, n: int, alpha: float) -> None:
    """Refuse tests of more draws than a log could be checked with.

    Raises:
        ValueError: they are too many.
    """
    last = most_steps(n, alpha / 2)
    check_work(work(step, n=n, alpha=alpha) for step in range(-last, last + 1))


def _events(candidate: int, counts: Sequence[int]) -> tuple[int, int]:
    """Return the votes on the candidate, and on all classes but the most frequent other one."""
    others = max(count for c, count in enumerate(counts) if c != candidate)
    return counts[candidate], sum(counts) - others

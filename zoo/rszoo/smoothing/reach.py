"""How far each part of a composed model certainly keeps more than half of its noise on an event.

Of a radius that is the smallest of several, most parts need not be known: that they reach further
is decided by few draws.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from torch import Tensor

from rszoo.certificates.base import Certificate
from rszoo.certificates.work import Test, check_work
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.decisions import RadiusTests, check_radii, largest_of
from rszoo.smoothing.interface import Budget
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.voting import OnDraws
from rszoo.theory.radii import largest_radius

__all__ = ["AllDraws", "AtRadii", "Reaching", "reaching"]

# Radii are on a grid, in units of sigma; where two neighbours on it are all that is left between
# certain and out of reach, the draws to tell them apart are saved.
_STEP = 0.1
_GIVEN_UP = 2 * _STEP * (1.0 + 1e-9)


@dataclass(frozen=True, eq=False)
class AllDraws:
    """One part makes all n draws; the others are asked only whether they reach as far.

    Attributes:
        budget: of a certificate.
        on_progress: called with the number of draws of the part that makes them all.
    """

    budget: Budget
    on_progress: OnDraws = None

    def serves(self, parts: Iterable[SmoothedClassifier]) -> bool:
        """Return whether parts can certify anything together."""
        return True

    def answering(
        self, part: SmoothedClassifier, selection: list[int], image: Tensor
    ) -> Certificate:
        """Return the certificate of the part that answers.

        Guarantee:
            That of `SmoothedClassifier.certify`, of the part alone.

        Args:
            part: the expert.
            selection: its votes among the n0 draws that nothing is certified with.
            image: one checked input.
        """
        budget = self.budget
        (votes,) = part.running(
            image,
            [budget.n],
            stream=Stream.ESTIMATION,
            seed=budget.seed,
            on_progress=self.on_progress,
        )
        return part.certificate(selection, votes, budget)

    def limiting(
        self,
        part: SmoothedClassifier,
        image: Tensor,
        count: Callable[[list[int]], int],
        *,
        stream: Stream,
        reach: float,
    ) -> Certificate:
        """Return how far an event certainly keeps more than half of the noise, about to `reach`.

        Guarantee:
            - With probability at least 1 - alpha over the draws, whatever `reach`: the certificate
              abstains, or the event has more than half of the noise everywhere closer than its
              radius.
            - It holds for both of two events when `count` gives the votes of the less frequent
              one: at no look are they more than those for the one that is really the first to lose
              its half.
            - It assumes of the part what `Classifier.certify` does.

        Args:
            part: whose noise it is.
            image: one checked input.
            count: the votes for the event among those on each class.
            stream: of the draws, which nothing else has looked at.
            reach: what another part certifies, pixel units.
        """
        sigma, n, alpha = part.applied_sigma, self.budget.n, self.budget.alpha
        radii = _grid(sigma, n=n, alpha=alpha, reach=reach)
        tests = RadiusTests.of(radii, sigma=sigma, n=n, alpha=alpha, tolerance=_GIVEN_UP * sigma)
        with _runs(tests, part, image, self.budget, stream) as runs:
            return tests.certificate(0, map(count, runs), n0=self.budget.n0)


@dataclass(frozen=True, eq=False)
class AtRadii:
    """Every part is decided at the radii that are asked for, by as few draws as do.

    Attributes:
        budget: of a certificate.
        tests: by the noise level of a part, at the radii that its n draws can certify.
    """

    budget: Budget
    tests: Mapping[float, RadiusTests]

    @classmethod
    def of(cls, ways: Sequence[Sequence[SmoothedClassifier]], budget: Budget) -> "AtRadii":
        """Prepare the tests of all parts.

        Args:
            ways: the parts that a certificate may rest on together.
            budget: with radii.

        Raises:
            ValueError: no radii, one that no way can certify, more than the log could say, or a
                negative tolerance.
        """
        tested = {"n": budget.n, "alpha": budget.alpha}
        how = {**tested, "tolerance": budget.tolerance}
        levels = [[part.applied_sigma for part in parts] for parts in ways]
        radii = check_radii(budget.radii or (), cap=largest_of(levels, **tested), **how)
        asked: dict[float, list[float]] = {}
        for sigma in {sigma for way in levels for sigma in way}:
            cap = largest_radius(budget.n, budget.alpha, sigma)
            if radii[0] <= cap:
                asked[sigma] = [radius for radius in radii if radius <= cap]
        check_work(Test(one, sigma, **tested) for sigma, some in asked.items() for one in some)
        tests = {sigma: RadiusTests.of(some, sigma=sigma, **how) for sigma, some in asked.items()}
        return cls(budget=budget, tests=tests)

    def serves(self, parts: Iterable[SmoothedClassifier]) -> bool:
        """Return whether n draws of each of the parts can certify the smallest radius."""
        return all(part.applied_sigma in self.tests for part in parts)

    def answering(
        self, part: SmoothedClassifier, selection: list[int], image: Tensor
    ) -> Certificate:
        """Return the certificate of the part that answers; see `AllDraws.answering`.

        Guarantee:
            That of `rszoo.smoothing.decisions.RadiusTests.certificate`, of the part alone.
        """
        candidate = selection.index(max(selection))
        tests, stream = self.tests[part.applied_sigma], Stream.ESTIMATION
        with _runs(tests, part, image, self.budget, stream) as runs:
            return tests.of_runs(candidate, runs, n0=self.budget.n0)

    def limiting(
        self,
        part: SmoothedClassifier,
        image: Tensor,
        count: Callable[[list[int]], int],
        *,
        stream: Stream,
        reach: float,
    ) -> Certificate:
        """Return at which radii an event certainly keeps more than half of the noise.

        Guarantee:
            That of `AllDraws.limiting`, whose arguments these are. The tests of all radii are
            given before any draw; `reach` only says which of them need no answer.
        """
        tests, n0 = self.tests[part.applied_sigma], self.budget.n0
        with _runs(tests, part, image, self.budget, stream) as runs:
            return tests.certificate(0, map(count, runs), n0=n0, within=reach)


#: How the parts of composed certificates are certified.
Reaching = AllDraws | AtRadii


def reaching(
    ways: Sequence[Sequence[SmoothedClassifier]], budget: Budget, on_progress: OnDraws = None
) -> Reaching:
    """Return what certifies the parts of composed certificates within a budget.

    Args and errors are those of `AtRadii.of`; `on_progress` is of `AllDraws`.
    """
    if budget.radii is None:
        return AllDraws(budget=budget, on_progress=on_progress)
    return AtRadii.of(ways, budget)


def _runs(
    tests: RadiusTests, part: SmoothedClassifier, image: Tensor, budget: Budget, stream: Stream
) -> closing[Generator[list[int]]]:
    """Return the votes of a part on each class at the looks of its tests."""
    return closing(part.running(image, tests.looks.tolist(), stream=stream, seed=budget.seed))


def _grid(sigma: float, *, n: int, alpha: float, reach: float) -> list[float]:
    """Return radii from 0 to two steps beyond `reach`, or as far as n draws go.

    Two more, so that giving up what is left between two neighbours never gives up `reach`.
    """
    step = _STEP * sigma
    last = int(largest_radius(n, alpha, sigma) / step)
    return [step * i for i in range(min(last, 2 - int(-reach // step)) + 1)]

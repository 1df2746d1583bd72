"""From the draws of one network to a certificate: CERTIFY of Cohen et al. (2019), and its kin.

They differ in how many draws are made: n, as many as decide some radii, or more where all agree.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import Protocol

from torch import Tensor

from rszoo.certificates.base import Certificate
from rszoo.certificates.kind import ONE_SIDED
from rszoo.certificates.kinds.extended import extended_certificate
from rszoo.smoothing.budget import Budget
from rszoo.smoothing.decisions import RadiusTests
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.runner_up import RunnerUpTests
from rszoo.smoothing.voting import OnDraws

__all__ = ["Drawing", "procedure"]


class Drawing(Protocol):
    """A smoothed network, of which draws can be had one after the other.

    Attributes:
        applied_sigma: the noise level of its certificates, pixel units.
    """

    @property
    def applied_sigma(self) -> float: ...

    def running(
        self,
        image: Tensor,
        looks: Sequence[int],
        *,
        stream: Stream,
        seed: int,
        on_progress: OnDraws = None,
    ) -> Generator[list[int]]:
        """Yield the votes on each class after so many draws, for every one of `looks`."""
        ...

    def certificate(self, counts0: list[int], counts: list[int], budget: Budget) -> Certificate:
        """Return the certificate that the votes of all n draws give."""
        ...


def procedure(
    network: Drawing, budget: Budget, on_progress: OnDraws = None
) -> Callable[[Tensor], Certificate]:
    """Return what certifies one input within a budget.

    Guarantee:
        That of `rszoo.smoothing.interface.Classifier.certify`.

    Raises:
        ValueError: radii or tolerance out of range.
    """
    if budget.n_max is not None:
        return partial(_with_more_draws, network, budget, on_progress)
    if budget.radii is None:
        return partial(_with_all_draws, network, budget, on_progress)
    budgeted = {"n": budget.n, "alpha": budget.alpha, "tolerance": budget.tolerance}
    of_bound = RadiusTests if budget.bound == ONE_SIDED else RunnerUpTests
    tests = of_bound.of(budget.radii, sigma=network.applied_sigma, **budgeted)
    return partial(_at_radii, network, budget, on_progress, tests)


def _selection(network: Drawing, image: Tensor, budget: Budget, on_progress: OnDraws) -> list[int]:
    """Return the votes of the n0 draws."""
    (counts0,) = network.running(
        image,
        [budget.n0],
        stream=Stream.SELECTION,
        seed=budget.seed,
        on_progress=on_progress,
    )
    return counts0


def _estimation(
    network: Drawing,
    image: Tensor,
    looks: Sequence[int],
    budget: Budget,
    on_progress: OnDraws,
) -> Generator[list[int]]:
    """Yield the votes of the draws for estimation at some looks."""
    return network.running(
        image, looks, stream=Stream.ESTIMATION, seed=budget.seed, on_progress=on_progress
    )


def _with_all_draws(
    network: Drawing, budget: Budget, on_progress: OnDraws, image: Tensor
) -> Certificate:
    """Return the certificate of n draws: CERTIFY, in the words of Cohen et al.'s Algorithm 1."""
    # counts0 <- SampleUnderNoise(f, x, n0, sigma)
    counts0 = _selection(network, image, budget, on_progress)
    # counts <- SampleUnderNoise(f, x, n, sigma)
    (counts,) = _estimation(network, image, [budget.n], budget, on_progress)
    # The rest is in `rszoo.certificates.kinds.fixed`, or in another kind.
    return network.certificate(counts0, counts, budget)


def _with_more_draws(
    network: Drawing, budget: Budget, on_progress: OnDraws, image: Tensor
) -> Certificate:
    """Return the certificate of n draws, or of n_max where all of the n agree."""
    assert budget.n_max is not None
    counts0 = _selection(network, image, budget, on_progress)
    candidate, draws = counts0.index(max(counts0)), budget.n
    looks = [budget.n, budget.n_max]
    with closing(_estimation(network, image, looks, budget, on_progress)) as runs:
        votes = next(runs)[candidate]
        if votes == budget.n:
            draws, votes = budget.n_max, next(runs)[candidate]
    return extended_certificate(
        candidate,
        votes,
        draws=draws,
        n0=budget.n0,
        n=budget.n,
        n_max=budget.n_max,
        alpha=budget.alpha,
        sigma=network.applied_sigma,
    )


def _at_radii(
    network: Drawing,
    budget: Budget,
    on_progress: OnDraws,
    tests: RadiusTests | RunnerUpTests,
    image: Tensor,
) -> Certificate:
    """Return the certificate of as many draws as decide the radii that are asked for."""
    counts0 = _selection(network, image, budget, on_progress)
    candidate, looks = counts0.index(max(counts0)), tests.looks.tolist()
    with closing(_estimation(network, image, looks, budget, on_progress)) as runs:
        return tests.of_runs(candidate, runs, n0=budget.n0)

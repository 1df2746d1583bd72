"""How far an event certainly keeps more than half of the noise, decided by as few draws as do.

One part of a composed certificate limits the others: that they reach further need not be known.
"""

from collections.abc import Callable
from contextlib import closing

from torch import Tensor

from rszoo.certificates.base import Certificate
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.decisions import RadiusTests
from rszoo.smoothing.interface import Budget
from rszoo.smoothing.noise import Stream
from rszoo.theory.radii import largest_radius

__all__ = ["certified_reach"]

# Radii are on a grid, in units of sigma; where two neighbours on it are all that is left between
# certain and out of reach, the draws to tell them apart are saved.
_STEP = 0.1
_GIVEN_UP = 2 * _STEP * (1.0 + 1e-9)


def certified_reach(
    part: SmoothedClassifier,
    image: Tensor,
    count: Callable[[list[int]], int],
    *,
    stream: Stream,
    reach: float,
    budget: Budget,
) -> Certificate:
    """Return how far an event certainly keeps more than half of the noise, not beyond `reach`.

    Guarantee:
        - With probability at least 1 - alpha over the draws, whatever `reach`: the certificate
          abstains, or the event has more than half of the noise everywhere closer than its radius.
        - It holds for both of two events when `count` gives the votes of the less frequent one: at
          no look are they more than those for the one that is really the first to lose its half.
        - It assumes of the part what `Classifier.certify` does.

    Args:
        part: whose noise it is.
        image: one checked input.
        count: the votes for the event among those on each class.
        stream: of the draws, which nothing else has looked at.
        reach: what another part certifies, pixel units.
        budget: at most n draws are made.
    """
    sigma = part.applied_sigma
    tests = RadiusTests.of(
        _grid(sigma, n=budget.n, alpha=budget.alpha, reach=reach),
        sigma=sigma,
        n=budget.n,
        alpha=budget.alpha,
        tolerance=_GIVEN_UP * sigma,
    )
    looks = tests.looks.tolist()
    with closing(part.running(image, looks, stream=stream, seed=budget.seed)) as runs:
        return tests.certificate(0, (count(votes) for votes in runs), n0=budget.n0)


def _grid(sigma: float, *, n: int, alpha: float, reach: float) -> list[float]:
    """Return radii from 0 to two steps beyond `reach`, or as far as n draws go.

    Two more, so that giving up what is left between two neighbours never gives up `reach`.
    """
    step = _STEP * sigma
    last = int(largest_radius(n, alpha, sigma) / step)
    return [step * i for i in range(min(last, 2 - int(-reach // step)) + 1)]

"""Cascades and dual models at given radii: failure rates, and equality with what they are made of.

Votes are drawn with the exact shares of the classes, so that trials by the thousand cost little.
An expert of "distance" d has Phi(d / sigma) of its noise on its class: it keeps that class up to d
exactly, whatever the network, if it is a half-space. The cases are the worst that there are: a
part's distance lies just below a radius that is asked for.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from scipy.stats import binom, norm
from test_cascade import half_space, undecided
from test_dual import dual
from test_dual import three as three_routed
from torch import Tensor, nn

from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.certificates.experts import Experts
from rszoo.certificates.kinds.dual import Routing
from rszoo.smoothing import decisions, reach
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.decisions import RadiusTests
from rszoo.smoothing.dual import DualClassifier
from rszoo.smoothing.interface import Budget
from rszoo.theory.bounds import clopper_pearson_lower
from rszoo.theory.sequential import Boundary, boundary

ALPHA, TRIALS = 0.05, 2000
RADII = (0.0, 0.3, 0.6)
JUST = 1e-9  # below a radius
FAR = 1.5
CLASSES = 20
# More wrong certificates than this come with probability 1e-4 if each is so with ALPHA.
TOO_MANY = int(binom.isf(1e-4, TRIALS, ALPHA))
ORIGIN = torch.zeros(2)


class Drawn(SmoothedClassifier):
    """A smoothed classifier whose votes are drawn with given shares."""

    def __init__(self, sigma: float, shares: ArrayLike) -> None:
        self.shares = np.asarray(shares, np.float64)
        super().__init__(nn.Identity(), sigma=sigma, num_classes=len(self.shares), device="cpu")
        self.rng = np.random.default_rng(round(1e6 * self.shares[0]))

    def running(self, image: Tensor, looks: Sequence[int], **_: Any) -> Generator[list[int]]:
        """Yield the votes at every look; independent of those of every other call."""
        steps = np.diff(looks, prepend=0)
        yield from self.rng.multinomial(steps, self.shares).cumsum(0).tolist()


def sure(sigma: float, distance: float, label: int = 1) -> Drawn:
    """An expert that keeps its class up to a distance; another one gets all the rest."""
    shares = np.zeros(CLASSES)
    shares[label] = norm.cdf(distance / sigma)
    shares[2] = 1.0 - shares[label]
    return Drawn(sigma, shares)


def passing(sigma: float, distance: float) -> Drawn:
    """An expert that is never sure of class 1, nor up to a distance of another one."""
    other = norm.cdf(-distance / sigma)
    rest = 1.0 - other
    return Drawn(sigma, [other, rest / 2, *[rest / 2 / (CLASSES - 2)] * (CLASSES - 2)])


def routing(below: float, above: float, sigma: float = 1.0) -> Drawn:
    """A router to the middle one of three levels, up to these distances."""
    low, high = float(norm.cdf(-below / sigma)), float(norm.cdf(-above / sigma))
    return Drawn(sigma, [low, 1.0 - low - high, high])


def routed(router: Drawn, *experts: Drawn) -> DualClassifier:
    return DualClassifier(experts, router)


Classifier = CascadeClassifier | DualClassifier
# The classifier, and how far from the origin it answers 1 exactly; below 0 where it does not.
CASES: dict[str, tuple[Callable[[], Classifier], float]] = {
    "the expert that answers": (
        lambda: CascadeClassifier([sure(0.5, 0.3 - JUST), passing(1.0, FAR)]),
        0.3 - JUST,
    ),
    "the expert asked before": (
        lambda: CascadeClassifier([sure(0.5, FAR), passing(1.0, 0.3 - JUST)]),
        0.3 - JUST,
    ),
    "both, at two radii": (
        lambda: CascadeClassifier([sure(0.5, 0.6 - JUST), passing(1.0, 0.3 - JUST)]),
        0.3 - JUST,
    ),
    "one of three, barely": (
        lambda: CascadeClassifier([sure(0.5, FAR), passing(0.7, -JUST), passing(1.0, FAR)]),
        -JUST,
    ),
    "the noisiest, barely": (
        lambda: CascadeClassifier([sure(0.5, FAR, label=0), sure(1.0, -JUST)]),
        -JUST,
    ),
    "an expert of a dual model": (
        lambda: routed(routing(FAR, FAR), sure(0.5, -FAR), sure(0.7, 0.3 - JUST), sure(1, -FAR)),
        0.3 - JUST,
    ),
    "the router, above": (
        lambda: routed(routing(FAR, 0.3 - JUST), sure(0.5, -FAR), sure(0.7, FAR), sure(1, -FAR)),
        0.3 - JUST,
    ),
    "the router, below, barely": (
        lambda: routed(routing(-JUST, FAR), sure(0.5, -FAR), sure(0.7, FAR), sure(1, -FAR)),
        -JUST,
    ),
    "one that must agree": (
        lambda: routed(routing(0.01, 0.01), sure(0.5, FAR), sure(0.7, 0.3 - JUST), sure(1, FAR)),
        0.3 - JUST,
    ),
}


def found(classifier: Classifier, trials: int = TRIALS, **options: Any) -> list[Certificate]:
    budget = Budget(**{"n0": 20, "n": 100, "alpha": ALPHA, "seed": 0, "radii": RADII, **options})
    one = classifier.certifier(budget)
    return [one(ORIGIN) for _ in range(trials)]


def wrong(certificates: Sequence[Certificate], exact: float) -> int:
    """Return how many certify more than is true."""
    return sum(
        one.label not in (1, ABSTAIN) or (one.label == 1 and (exact < 0 or one.radius > exact))
        for one in certificates
    )


@pytest.mark.parametrize("name", CASES)
def test_the_failure_rate(name: str) -> None:
    make, exact = CASES[name]
    given = found(make())
    if name == "the noisiest, barely":  # what comes after it answers 0, and that is right
        given = [one for one in given if one.label != 0]
    assert wrong(given, exact) <= TOO_MANY


@pytest.mark.parametrize("name", ["the expert asked before", "the router, above"])
def test_the_failure_rate_would_show_four_times_the_alpha(name: str) -> None:
    make, exact = CASES[name]
    assert wrong(found(make(), alpha=4 * ALPHA), exact) > TOO_MANY


@pytest.mark.parametrize("name", ["the expert that answers", "the router, above"])
def test_bounds_of_all_draws_at_every_look_are_no_tests(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpaid(p: float, n: int, alpha: float) -> Boundary:
        given = boundary(p, n, alpha)
        enough = [
            next((k for k in range(t + 1) if clopper_pearson_lower(k, t, alpha) > p), t + 1)
            for t in given.looks.tolist()
        ]
        return replace(given, above=np.array(enough))

    monkeypatch.setattr(decisions, "boundary", unpaid)
    make, exact = CASES[name]
    assert wrong(found(make()), exact) > TOO_MANY


def test_a_level_chosen_by_the_draws_that_certify_it_is_wrong_too_often() -> None:
    # Each level by itself claims .3 falsely, with probability ALPHA: the better of both does so
    # nearly twice as often. Which one answers is for the n0 draws to say.
    first, last = sure(0.5, 0.3 - JUST), sure(1.0, 0.3 - JUST)
    last.shares[[0, 2]] = last.shares[2] / 2  # no other class has much
    model = CascadeClassifier([first, last])
    assert wrong(found(model), 0.3 - JUST) <= TOO_MANY
    each = [
        [
            max(model._limited(how.answering(expert, [0, 1, 0], ORIGIN), k, ORIGIN, how).radius
                for k, expert in enumerate(model.experts))
            for _ in range(TRIALS)
        ]
        for how in [reach.reaching(model._ways(), Budget(n0=20, n=100, alpha=ALPHA, radii=RADII))]
    ]  # fmt: skip
    assert sum(radius > 0.3 - JUST for radius in each[0]) > TOO_MANY


# --- what it is equal to


HOW: dict[str, Any] = {"n0": 100, "n": 5000, "alpha": 0.001, "seed": 3}


def test_an_expert_that_nobody_is_asked_before_is_certified_as_if_alone() -> None:
    model = CascadeClassifier([half_space(9.0), undecided(0.9, 2.0)])
    given = model.certify(ORIGIN, radii=RADII, **HOW)
    alone = model.experts[1].certify(ORIGIN, radii=RADII, **HOW)
    assert isinstance(given.details, Experts)
    assert (given.details.expert_level, given.details.others) == (1, ())
    assert replace(given, details=None) == alone
    assert alone.radius == 0.6
    assert alone.spent < 2000


MODELS: list[Classifier] = [
    CascadeClassifier([half_space(9.0), undecided(-0.6, 0.5), undecided(-0.45, 0.7)]),
    CascadeClassifier([half_space(0.35), undecided(-0.6, 0.6)]),
    three_routed((0.05, 9.0), (3.0, 0.45, -9.0)),
    dual(0.45, 2.0, level=1),
    dual(2.0, 0.45),
]


@pytest.mark.parametrize("model", MODELS)
def test_it_is_the_smallest_radius_of_all_parts(model: Classifier) -> None:
    given = model.certify(ORIGIN, radii=RADII, **HOW)
    details = given.details
    assert isinstance(details, Experts)
    alone = model.experts[details.expert_level].certify(ORIGIN, radii=RADII, **HOW)
    assert (given.votes, given.draws, given.spent) == (alone.votes, alone.draws, alone.spent)
    assert (given.p_lower, details.expert_radius) == (alone.p_lower, alone.radius)
    radii = [alone.radius, *(one.radius for one in details.others)]
    if isinstance(details, Routing) and details.router_draws:
        radii.append(details.router_radius)
    assert given.radius == min(radii) == 0.3
    assert given.label == alone.label


@pytest.mark.parametrize("model", MODELS)
def test_fine_radii_come_to_what_all_draws_certify(model: Classifier) -> None:
    fine = [0.01 * i for i in range(120)]
    how = HOW | {"n": 20_000}
    early, whole = model.certify(ORIGIN, radii=fine, **how), model.certify(ORIGIN, **how)
    # The parts that only limit a certificate of all draws are on a grid of a tenth of sigma.
    assert whole.radius - 0.03 < early.radius < whole.radius + 0.2
    assert early.radius < 0.45
    rough = model.certify(ORIGIN, radii=fine, tolerance=0.1, **how)
    assert early.radius - 0.1 <= rough.radius <= early.radius + 0.01


def test_parts_that_reach_further_take_few_draws() -> None:
    model = CascadeClassifier([sure(0.5, 0.5), passing(1.0, FAR)])
    for given in found(model, 5, n0=100, n=100_000, alpha=0.001):
        assert isinstance(given.details, Experts)
        (other,) = given.details.others
        assert given.radius == 0.3 <= other.radius
        assert other.spent < 500
        assert given.spent < 10_000


def test_no_more_is_drawn_than_is_wanted() -> None:
    tests = RadiusTests.of(RADII, sigma=0.5, n=1000, alpha=0.01)
    votes = tests.looks.tolist()
    whole = tests.certificate(0, iter(votes), n0=1)
    some = tests.certificate(0, iter(votes), n0=1, within=0.3)
    assert (whole.radius, some.radius) == (0.6, 0.3)
    assert some.spent < whole.spent


# --- what it refuses


def test_radii_beyond_an_experts_draws_are_for_those_that_reach_them() -> None:
    # 100 draws certify 0.94 at sigma 0.5, and 1.88 at 1.0.
    def radii(model: Classifier, *asked: float) -> set[tuple[int, float]]:
        return {(one.label, one.radius) for one in found(model, 20, radii=asked)}

    sure_of_all = [sure(0.5, 9.0), sure(0.7, 9.0), sure(1.0, 9.0)]
    assert radii(CascadeClassifier(sure_of_all), 0.3, 1.5) == {(1, 1.5)}
    passed = CascadeClassifier([sure(0.5, 9.0), passing(1.0, 9.0)])
    assert radii(passed, 0.3, 0.9, 1.5) == {(1, 0.9)}
    assert radii(passed, 1.5) == {(ABSTAIN, 0.0)}
    (level,) = {one.details.expert_level for one in found(passed, 20, radii=[1.5]) if one.details}
    assert level == 1  # the other expert's draws cannot certify any of these radii
    # All agree: a router whose draws certify 0.47 is not asked.
    assert radii(routed(routing(FAR, FAR, 0.25), *sure_of_all), 0.9) == {(1, 0.9)}


@pytest.mark.parametrize("radii", [[], [-0.1], [2.7], [float("nan")], [0.1, 2.7]])
@pytest.mark.parametrize("model", [MODELS[0], MODELS[3]])
def test_radii_that_cannot_be_certified(model: Classifier, radii: list[float]) -> None:
    with pytest.raises(ValueError, match=r"^expected radii from 0 to 2\.4632, the most that n="):
        model.certify(ORIGIN, radii=radii, n=1000)


def test_what_does_not_go_together() -> None:
    for model in (MODELS[0], MODELS[3]):
        with pytest.raises(ValueError, match="expected bound='one-sided' with a"):
            model.certify(ORIGIN, radii=RADII, bound="runner-up")
        with pytest.raises(ValueError, match="tolerance >= 0"):
            model.certify(ORIGIN, radii=RADII, tolerance=-0.1)

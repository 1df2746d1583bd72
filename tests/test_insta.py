"""A noise level for each input: the search against closed forms, and what its radii are worth."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import binom, norm
from torch import Tensor, nn

from rszoo.certificates.base import ABSTAIN, Certificate, Prediction
from rszoo.errors import RszooError
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.insta import InstaClassifier
from rszoo.smoothing.memory import Memory
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.scheme import Scheme
from rszoo.smoothing.schemes.generator import SCHEME
from rszoo.smoothing.search import Search, searched_sigma

STEEP = 20.0
WIDE = Search(low=0.25, high=1.0, starts=9, steps=4, draws=1000)
QUICK = Search(low=0.25, high=1.0, starts=2, steps=0, draws=20)


class Band(nn.Module):
    """Class 1 where the first pixel is within `width` of 0; its probability is a steep sigmoid."""

    def __init__(self, half: float) -> None:
        super().__init__()
        self.width = half
        self.steepness = nn.Parameter(torch.tensor(STEEP))

    def forward(self, x: Tensor) -> Tensor:
        inside = self.steepness * (self.width - x[:, :1].abs())
        return torch.cat([torch.zeros_like(inside), inside], 1)


class HalfSpace(nn.Module):
    """Class 0 where the first pixel is below `border`."""

    def __init__(self, border: float) -> None:
        super().__init__()
        self.border = border

    def forward(self, x: Tensor) -> Tensor:
        below = STEEP * (self.border - x[:, :1])
        return torch.cat([below, torch.zeros_like(below)], 1)


def smoothed(network: nn.Module, sigma: float = 0.5) -> SmoothedClassifier:
    return SmoothedClassifier(network, sigma=sigma, num_classes=2, device="cpu")


def at(first: float, pixels: int = 2) -> Tensor:
    return torch.tensor([first] + [0.0] * (pixels - 1))


def found(network: nn.Module, x: Tensor, *, search: Search = WIDE, seed: int = 0) -> float:
    return searched_sigma(network, x, search=search, seed=seed, precision="float32", scheme=SCHEME)


def soft_radius(half: float, pixel: float, sigma: float) -> float:
    """R(s) of the band, by an integral in place of draws."""

    def inside(z: float) -> float:
        value = STEEP * (half - abs(pixel + sigma * z))
        density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        return density / (1.0 + math.exp(-min(max(value, -500.0), 500.0)))

    share = quad(inside, -9, 9, points=[(-half - pixel) / sigma, (half - pixel) / sigma])[0]
    return sigma * float(norm.ppf(min(max(share, 1.0 - share), 0.999)))


@pytest.mark.parametrize("half", [1.0, 1.4, 2.0])
@pytest.mark.parametrize("pixel", [0.0, 0.2])
def test_the_level_is_the_best_of_the_closed_form(half: float, pixel: float) -> None:
    levels = np.geomspace(0.25, 1.0, 61)
    exact = [soft_radius(half, pixel, sigma) for sigma in levels]
    best = levels[int(np.argmax(exact))]
    assert 0.26 < best < 0.99
    sigma = found(Band(half), at(pixel))
    assert abs(math.log(sigma / best)) < 0.2
    assert soft_radius(half, pixel, sigma) > 0.97 * max(exact)
    # At one end at least it is worse than that: a search that stays there would be seen.
    assert min(exact[0], exact[-1]) < 0.97 * max(exact)


def test_a_half_space_wants_noise_that_reaches_its_border() -> None:
    # R = s Phi^-1(min(Phi(d / s), 0.999)): the distance d, or 3.09 s where that is less.
    for distance in (0.5, 1.0, 2.0, 9.0):
        sigma = found(HalfSpace(distance), at(0.0))
        assert sigma >= 0.95 * min(distance / norm.ppf(0.999), 1.0)


def test_without_steps_it_is_one_of_the_starts() -> None:
    search = Search(low=0.25, high=1.0, starts=3, steps=0, draws=200)
    assert found(Band(1.4), at(0.0), search=search) == pytest.approx(0.5)
    assert found(HalfSpace(9.0), at(0.0), search=search) == pytest.approx(1.0)
    assert found(HalfSpace(9.0), at(0.0), search=replace(search, steps=5)) == pytest.approx(1.0)


def test_the_best_is_chosen_on_fresh_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []

    def watched(scheme: Scheme, *arguments: Any, chunk: int, **options: Any) -> Tensor:
        used.append(chunk)
        return unwatched(scheme, *arguments, chunk=chunk, **options)

    unwatched = Scheme.chunk
    monkeypatch.setattr(Scheme, "chunk", watched)
    certify(InstaClassifier(smoothed(Band(1.4)), search=QUICK), at(0.0), n=1500)
    search, selection, estimation = Stream.SEARCH, Stream.SELECTION, Stream.ESTIMATION
    assert sorted(used) == [selection, estimation, estimation + 1, search, search + 1]


def test_the_search_draws_from_a_stream_of_its_own() -> None:
    assert min(abs(Stream.SEARCH - other) for other in Stream if other != Stream.SEARCH) >= 1 << 20


def test_the_search_leaves_no_trace() -> None:
    network = nn.Sequential(Band(1.4), nn.Dropout(0.5)).train()
    before = torch.random.get_rng_state()
    with torch.inference_mode():
        first = found(network, at(0.0), search=QUICK)
    assert first == found(network, at(0.0), search=QUICK)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(module.training for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_broken_network_is_told() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :1] * torch.tensor([[math.nan, 1.0]])

    with pytest.raises(RszooError, match="expected logits that are numbers, got NaN"):
        found(Broken(), at(0.0))


@pytest.mark.parametrize(
    "values", [{"low": 1.0}, {"low": 0.0}, {"starts": 1}, {"steps": -1}, {"draws": 1001}]
)
def test_searches_that_make_no_sense(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^expected "):
        replace(WIDE, **values)


def certify(model: InstaClassifier, x: Tensor, **options: Any) -> Certificate:
    certificate = model.certify(x, **{"n0": 50, "n": 1000, **options})
    assert isinstance(certificate, Certificate)
    return certificate


def nominal_radius(certificate: Certificate) -> float:
    assert certificate.details is not None
    return certificate.details.nominal_radius


def test_a_nominal_radius_is_that_of_the_level_found_and_nothing_is_certified() -> None:
    base = smoothed(Band(1.4))
    given = certify(InstaClassifier(base, search=WIDE), at(0.0))
    sigma = found(base.network, at(0.0))
    fixed = base.with_sigma(sigma).certify(at(0.0), n0=50, n=1000)
    assert isinstance(fixed, Certificate)
    assert (given.sigma, given.votes, nominal_radius(given)) == (
        fixed.sigma,
        fixed.votes,
        fixed.radius,
    )
    assert fixed.radius > 0.5
    assert (given.label, given.radius) == (1, 0.0)


# Wide noise does not see such a band, narrow noise sees nothing else.
ISLAND = Band(0.5)
LINE = [at(float(pixel)) for pixel in np.linspace(0.0, 0.9, 37)]


def contradictions(
    answers: list[tuple[Tensor, Certificate]], radius: Callable[[Certificate], float]
) -> int:
    """Return how many answers lie within another's radius and have another label."""
    given = [(x, one) for x, one in answers if one.label != ABSTAIN]
    return sum(
        a.label != b.label and bool((x - y).norm() < radius(a)) for x, a in given for y, b in given
    )


def test_a_search_alone_is_unsound() -> None:
    model = InstaClassifier(smoothed(ISLAND), search=WIDE)
    answers = [(x, certify(model, x)) for x in LINE]
    assert {one.label for _, one in answers} >= {0, 1}
    assert contradictions(answers, nominal_radius) > 0
    # Two neighbours, each with a nominal radius that is three times the distance between them.
    wrong = [
        (x, y)
        for (x, a), (y, b) in pairwise(answers)
        if {a.label, b.label} == {0, 1}
        and min(map(nominal_radius, (a, b))) > 3 * float((x - y).norm())
    ]
    assert wrong
    # It is no chance: with 100 times the draws they still contradict each other.
    x, y = wrong[0]
    a, b = (certify(model, one, n=100_000, alpha=1e-6) for one in (x, y))
    assert a.label != b.label
    assert nominal_radius(a) > float((x - y).norm())
    # What is certified of it is 0, and that is true.
    assert contradictions(answers, lambda one: one.radius) == 0


@pytest.mark.parametrize(("order", "labels"), [(1, {0, 1}), (-1, {0})])
def test_with_a_memory_the_same_inputs_do_not_contradict_each_other(
    order: int, labels: set[int]
) -> None:
    # From the outside in, the region of one answer reaches over the whole island.
    with Memory.open() as memory:
        model = InstaClassifier(smoothed(ISLAND), search=WIDE, memory=memory)
        answers = [(x, certify(model, x)) for x in LINE[::order]]
    assert contradictions(answers, lambda one: one.radius) == 0
    assert {one.label for _, one in answers} - {ABSTAIN} == labels
    assert sum(one.radius > 0.0 for _, one in answers) > len(LINE) // 2
    assert any(one.radius < nominal_radius(one) for _, one in answers)


ALPHA, TRIALS = 0.05, 1000
# More wrong certificates than this come with probability 1e-4 if each is so with ALPHA.
TOO_MANY = int(binom.isf(1e-4, TRIALS, ALPHA))


def too_large(alpha: float, *, used: Callable[[int], InstaClassifier]) -> int:
    """Return how many certificates at distance 0.4 of a border say more than 0.4."""
    given = [
        certify(used(seed), at(0.0), n0=10, n=200, alpha=alpha, seed=seed)
        for seed in range(TRIALS)
    ]
    return sum(one.label == 1 or one.radius > 0.4 for one in given)


def remembering(seed: int) -> InstaClassifier:
    del seed
    return InstaClassifier(smoothed(HalfSpace(0.4)), search=QUICK, memory=Memory.open())


def test_the_failure_rate() -> None:
    assert too_large(ALPHA, used=remembering) <= TOO_MANY


def test_the_failure_rate_would_show_three_times_the_alpha() -> None:
    assert too_large(3 * ALPHA, used=remembering) > TOO_MANY


def test_a_prediction_is_that_of_the_level_found_or_of_a_region() -> None:
    with Memory.open() as memory:
        model = InstaClassifier(smoothed(ISLAND), search=WIDE, memory=memory)
        alone = InstaClassifier(smoothed(ISLAND), search=WIDE)
        center, side = at(0.0), at(0.5)
        first = alone.predict(side)
        assert isinstance(first, Prediction)
        assert model.predict(side) == first
        assert len(memory) == 0
        region = certify(model, center, n=10_000)
        assert (region.label, first.label) == (1, 0)
        inside = at(0.9 * region.radius)
        given = model.predict(inside)
        assert isinstance(given, Prediction)
        assert given.label == 1
        assert model.predict_batch(torch.stack([inside, side])) == [given, first]


def test_options_that_need_one_level_are_refused() -> None:
    model = InstaClassifier(smoothed(ISLAND))
    assert (model.search.low, model.search.high) == (0.25, 1.0)
    with pytest.raises(ValueError, match="expected no radii and no tolerance"):
        model.certify(at(0.0), radii=[0.5])
    with pytest.raises(ValueError, match=r"expected radii with tolerance=0\.1, got none"):
        model.certify(at(0.0), tolerance=0.1)


def test_one_network_under_another_noise() -> None:
    base = smoothed(HalfSpace(0.4))
    other = base.with_sigma(1.0)
    assert (base.sigma, other.sigma, other.network is base.network) == (0.5, 1.0, True)
    fresh = smoothed(HalfSpace(0.4), 1.0)
    assert other.certify(at(0.0), n0=10, n=500) == fresh.certify(at(0.0), n0=10, n=500)
    with pytest.raises(ValueError, match="expected a positive sigma"):
        base.with_sigma(0.0)

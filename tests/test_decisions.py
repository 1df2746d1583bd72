"""Certifying at given radii: the same promise, fewer draws."""

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from torch import Tensor, nn

import rszoo.smoothing.decisions as decisions_file
from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.decisions import RadiusTests, radius_grid
from rszoo.theory.bounds import clopper_pearson_lower
from rszoo.theory.radii import needed_probability
from rszoo.theory.sequential import Boundary, boundary, looks

RADII = (0.0, 0.25, 0.5, 0.75, 1.0)
SIGMA = 0.5


def certificates(
    p: float, runs: int, *, n: int = 5000, alpha: float = 0.01, tolerance: float = 0.0
) -> list[Certificate]:
    """Return what simulated draws of a class with probability p certify."""
    tests = RadiusTests.of(RADII, sigma=SIGMA, n=n, alpha=alpha, tolerance=tolerance)
    rng = np.random.default_rng(0)
    steps = np.diff(looks(n), prepend=0)
    votes = rng.binomial(steps, p, size=(runs, len(steps))).cumsum(1)
    return [tests.certificate(3, row.tolist(), n0=100) for row in votes]


def failures(p: float, runs: int, *, alpha: float) -> float:
    """Return the share of certificates that claim more than p gives."""
    given = certificates(p, runs, alpha=alpha)
    wrong = [c for c in given if c.label != ABSTAIN and p <= ndtr(c.radius / SIGMA)]
    return len(wrong) / runs


@pytest.mark.parametrize("radius", RADII)
def test_at_every_boundary_the_failure_rate_is_within_alpha(radius: float) -> None:
    runs, alpha = 3000, 0.05
    rate = failures(float(ndtr(radius / SIGMA)), runs, alpha=alpha)
    assert rate <= alpha + 3 * np.sqrt(alpha / runs)
    assert rate > 0.3 * alpha


def test_a_broken_threshold_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def generous(p: float, n: int, alpha: float) -> Boundary:
        return boundary(p, n, 5 * alpha)

    monkeypatch.setattr(decisions_file, "boundary", generous)
    assert failures(float(ndtr(1.0)), 3000, alpha=0.05) > 0.1


def test_a_wrong_noise_level_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wider(radius: float, sigma: float) -> float:
        return needed_probability(radius, 1.1 * sigma)

    monkeypatch.setattr(decisions_file, "needed_probability", wider)
    assert failures(float(ndtr(1.0)), 300, alpha=0.05) > 0.5


def test_between_the_radii_the_smaller_is_certified() -> None:
    for p, radius in [(0.6, 0.0), (0.8, 0.25), (0.9, 0.5), (0.96, 0.75), (0.995, 1.0)]:
        found = [c.radius for c in certificates(p, 200)]
        assert np.mean(np.array(found) == radius) > 0.9
    assert {c.label for c in certificates(0.4, 200)} == {ABSTAIN}


def test_clear_cases_take_few_draws() -> None:
    assert np.mean([c.spent for c in certificates(0.2, 200)]) < 60
    assert np.mean([c.spent for c in certificates(0.9999, 200)]) < 400
    assert np.mean([c.spent for c in certificates(0.45, 200)]) < 2500


def test_as_much_is_certified_as_by_all_draws_at_once() -> None:
    n, alpha, runs = 5000, 0.01, 2000
    rng = np.random.default_rng(1)
    for p in np.linspace(0.84, 0.87, 7):  # around Phi(1), for r = sigma
        votes = rng.binomial(n, p, runs)
        fixed = np.mean([clopper_pearson_lower(int(k), n, alpha) > ndtr(1.0) for k in votes])
        early = np.mean([c.radius >= SIGMA for c in certificates(p, runs, n=n, alpha=alpha)])
        assert early > fixed - 0.2


def test_the_evidence_is_the_look_at_which_the_radius_was_certified() -> None:
    for given in certificates(0.9, 50):
        test = boundary(needed_probability(given.radius, SIGMA), 5000, 0.01)
        (look,) = np.flatnonzero(test.looks == given.draws)
        assert given.votes >= test.above[look]
        assert given.draws <= given.spent <= given.n == 5000
        assert given.p_lower == needed_probability(given.radius, SIGMA)


def test_no_radius_counts_before_all_smaller_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def inconsistent(p: float, n: int, alpha: float) -> Boundary:
        """The test of the smallest radius never succeeds, those of all others at once."""
        given = boundary(p, n, alpha)
        above = given.looks + 1 if p < 0.51 else given.looks // 2
        return Boundary(looks=given.looks, above=above, below=given.below)

    monkeypatch.setattr(decisions_file, "boundary", inconsistent)
    assert {c.label for c in certificates(0.99, 20)} == {ABSTAIN}


def test_tolerance_stops_earlier_and_costs_no_more_than_it_says() -> None:
    at_a_radius = float(ndtr(0.75 / SIGMA))
    exact = certificates(at_a_radius, 100, n=20_000)
    rough = certificates(at_a_radius, 100, n=20_000, tolerance=0.5)
    assert sum(c.spent for c in rough) < 0.5 * sum(c.spent for c in exact)
    assert all(a.radius - b.radius <= 0.5 for a, b in zip(exact, rough, strict=True))


def test_the_grid_has_four_radii_to_a_tolerance_and_ends_below_the_largest() -> None:
    grid = radius_grid(sigma=0.5, n=1000, alpha=0.001, tolerance=0.1)
    assert grid[:3] == (0.0, 0.025, 0.05)
    assert 1.2316 - 0.025 < grid[-1] <= 1.2316
    RadiusTests.of(grid, sigma=0.5, n=1000, alpha=0.001)


@pytest.mark.parametrize("radii", [[], [-0.1], [0.5, 1.3], [float("nan")]])
def test_radii_that_cannot_be_certified(radii: list[float]) -> None:
    with pytest.raises(ValueError, match=r"^expected radii from 0 to 1\.2316, the most that n="):
        RadiusTests.of(radii, sigma=0.5, n=1000, alpha=0.001)


class FirstPixel(nn.Module):
    """Answers 1 where the first pixel is positive: its smoothed radius is that pixel exactly."""

    def forward(self, x: Tensor) -> Tensor:
        first = x.flatten(1)[:, :1]
        return torch.cat([-first, first], 1)


def test_a_half_space_is_certified_up_to_its_distance() -> None:
    classifier = SmoothedClassifier(FirstPixel(), sigma=SIGMA, num_classes=2)
    x = torch.full((1, 2, 2), 0.6)
    given = classifier.certify(x, n=20_000, radii=RADII)
    assert isinstance(given, Certificate)
    assert (given.label, given.radius, given.candidate) == (1, 0.5, 1)
    assert given.spent < 20_000
    assert classifier.certify(x, n=20_000, radii=RADII) == given
    (again,) = classifier.certify_batch(x[None], n=20_000, radii=RADII)
    assert again == given

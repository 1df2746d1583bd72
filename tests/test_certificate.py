"""What counts certify."""

import dataclasses
import re
from typing import Any

import pytest

from rszoo.certificates.base import ABSTAIN, Certificate, certificate_from_votes
from rszoo.theory.bounds import clopper_pearson_lower
from rszoo.theory.radii import certified_radius, largest_radius


def certificate(votes: int, **changed: Any) -> Certificate:
    arguments: dict[str, Any] = {"n0": 100, "n": 1000, "alpha": 0.001, "sigma": 0.25} | changed
    return certificate_from_votes(7, votes, **arguments)


def test_a_majority_is_certified_with_its_evidence() -> None:
    p_lower = clopper_pearson_lower(990, 1000, 0.001)
    assert certificate(990) == Certificate(
        label=7,
        radius=certified_radius(p_lower, 0.25),
        p_lower=p_lower,
        candidate=7,
        votes=990,
        n0=100,
        n=1000,
        alpha=0.001,
        sigma=0.25,
        draws=1000,
        spent=1000,
    )
    assert certificate(990).radius == pytest.approx(0.25 * 1.97801, abs=1e-5)


def test_without_a_sure_majority_it_abstains() -> None:
    answer = certificate(540)  # a majority, but not one that is sure at alpha = 0.001
    assert (answer.label, answer.radius, answer.candidate) == (ABSTAIN, 0.0, 7)
    assert 0 < answer.p_lower < 0.5
    assert ABSTAIN == -1


@pytest.mark.parametrize("n", [10, 100, 1000])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_it_abstains_just_below_one_half(n: int, alpha: float) -> None:
    for votes in range(n + 1):
        answer = certificate(votes, n=n, alpha=alpha)
        sure = clopper_pearson_lower(votes, n, alpha) >= 0.5
        assert answer.label == (7 if sure else ABSTAIN)
        assert answer.radius > 0 if sure else answer.radius == 0


def test_ten_draws_hardly_certify_anything() -> None:
    assert certificate(9, n=10).label == ABSTAIN
    assert certificate(10, n=10).radius == pytest.approx(0.25 * 0.0030, abs=1e-4)


def test_no_radius_exceeds_that_of_unanimity() -> None:
    radii = [certificate(votes).radius for votes in range(1001)]
    assert radii == sorted(radii)
    assert radii[-1] == largest_radius(1000, 0.001, 0.25)


def test_zero_votes() -> None:
    answer = certificate(0)
    assert (answer.label, answer.p_lower, answer.radius) == (ABSTAIN, 0.0, 0.0)


def test_a_certificate_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        certificate(990).radius = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("votes", "changed", "message"),
    [
        (1001, {}, "expected 0 <= successes <= trials, got successes=1001, trials=1000"),
        (990, {"alpha": 1.0}, "expected 0 < alpha < 1, got alpha=1.0"),
        (990, {"sigma": 0.0}, "expected a positive finite sigma, got sigma=0.0"),
    ],
)
def test_bad_arguments(votes: int, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        certificate(votes, **changed)

"""The guarantee of certify and predict, where the truth is known in closed form.

For f(x) = [w.x + b > 0] the smoothed classifier is g = f, and the radius within which g is
constant is |w.x + b| / ||w||. Over 1,000 seeded trials the share of wrong statements must not
exceed alpha by more than chance allows (99.9 % quantile of Bin(1000, alpha)); a certifier that
is wrong on purpose must exceed it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from scipy.stats import binom
from torch import Tensor, nn

from rszoo.certificates import base as certificate
from rszoo.certificates.base import ABSTAIN, Certificate, certificate_from_votes
from rszoo.certificates.kinds import fixed
from rszoo.smoothing import procedures as module
from rszoo.smoothing.classifier import SmoothedClassifier

TRIALS = 1000
SHAPE = (1, 2, 3)
SIGMA = 0.5


class HalfSpace(nn.Module):
    """Class 1 where w.x + b > 0, else class 0."""

    def __init__(self, w: Tensor, b: float) -> None:
        super().__init__()
        self.w, self.b = w, b

    def forward(self, x: Tensor) -> Tensor:
        score = x.flatten(1) @ self.w + self.b
        return torch.stack([-score, score], dim=1)


@dataclass(frozen=True)
class Trial:
    classifier: SmoothedClassifier
    x: Tensor
    side: int
    margin: float
    seed: int


def trial(seed: int, *, margins: tuple[float, float]) -> Trial:
    """Return a random half-space and an input at a distance from its boundary, in sigmas."""
    torch.default_generator.manual_seed(seed)  # torch.manual_seed takes as long as a trial
    w, x = torch.randn(6), torch.rand(SHAPE)
    distance = SIGMA * torch.empty(()).uniform_(*margins)
    side = seed % 2
    signed = float(distance * w.norm()) * (1 if side else -1)
    b = signed - float(x.flatten() @ w)
    score = float(x.flatten().double() @ w.double()) + b
    network = HalfSpace(w, b)
    classifier = SmoothedClassifier(
        network, sigma=SIGMA, num_classes=2, device="cpu", precision="float32"
    )
    return Trial(classifier, x, side, abs(score) / float(w.double().norm()), seed)


def failures(
    wrong: Callable[[Trial], bool], margins: tuple[float, float], trials: int = TRIALS
) -> int:
    return sum(wrong(trial(seed, margins=margins)) for seed in range(trials))


def tolerance(alpha: float) -> int:
    return int(binom.ppf(0.999, TRIALS, alpha))


def overclaims(n0: int, n: int, alpha: float) -> Callable[[Trial], bool]:
    def wrong(one: Trial) -> bool:
        answer = one.classifier.certify(one.x, n0=n0, n=n, alpha=alpha, seed=one.seed)
        assert isinstance(answer, Certificate)
        if answer.label == ABSTAIN:
            assert answer.radius == 0
            return False
        return answer.label != one.side or answer.radius > one.margin

    return wrong


WITHIN_REACH = (0.0, 1.5)  # at 2 sigma and more, n = 500 draws rarely disagree


@pytest.mark.parametrize(("n", "alpha"), [(200, 0.05), (500, 0.05), (1000, 0.2)])
def test_certified_radii_exceed_the_true_margin_at_most_as_often_as_allowed(
    n: int, alpha: float
) -> None:
    failed = failures(overclaims(50, n, alpha), WITHIN_REACH)
    assert failed <= tolerance(alpha)
    assert failed > 0.3 * alpha * TRIALS  # exact bounds are not idle: the test can see failures


def test_certificates_are_not_vacuous() -> None:
    def far_below(one: Trial) -> bool:
        answer = one.classifier.certify(one.x, n0=50, n=1000, alpha=0.001, seed=one.seed)
        assert isinstance(answer, Certificate)
        return answer.radius < 0.6 * one.margin

    assert failures(far_below, (1.0, 1.5), 200) == 0


def claiming_sigma(sigma: float) -> Callable[..., Certificate]:
    def certificate(candidate: int, votes: int, **arguments: float) -> Certificate:
        return certificate_from_votes(candidate, votes, **arguments | {"sigma": sigma})

    return certificate


def test_a_wrong_sigma_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fixed, "certificate_from_votes", claiming_sigma(0.6))
    assert failures(overclaims(50, 500, 0.05), WITHIN_REACH) > 4 * tolerance(0.05)


def test_a_wrong_alpha_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def certificate(candidate: int, votes: int, **arguments: float) -> Certificate:
        return certificate_from_votes(candidate, votes, **arguments | {"alpha": 0.2})

    monkeypatch.setattr(fixed, "certificate_from_votes", certificate)
    assert failures(overclaims(50, 500, 0.05), WITHIN_REACH) > tolerance(0.05)


ON_THE_BOUNDARY = (0.0, 1e-9)  # there, every certificate is wrong


def test_selection_and_estimation_do_not_share_draws() -> None:
    assert failures(overclaims(1000, 1000, 0.2), ON_THE_BOUNDARY) <= tolerance(0.2)


def test_selecting_and_estimating_on_the_same_draws_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "Stream", SimpleNamespace(SELECTION=0, ESTIMATION=0))
    assert failures(overclaims(1000, 1000, 0.2), ON_THE_BOUNDARY) > tolerance(0.2)


def mispredicts(n: int, alpha: float) -> Callable[[Trial], bool]:
    def wrong(one: Trial) -> bool:
        answer = one.classifier.predict(one.x, n=n, alpha=alpha, seed=one.seed)
        assert not isinstance(answer, list)
        return answer.label not in (ABSTAIN, one.side)

    return wrong


UNSURE = (0.0, 0.02)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_predictions_are_wrong_at_most_as_often_as_allowed(alpha: float) -> None:
    assert failures(mispredicts(100, alpha), UNSURE) <= tolerance(alpha)


def test_predicting_without_abstaining_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate, "majority_p_value", lambda top, runner_up: 0.0)
    assert failures(mispredicts(100, 0.2), UNSURE) > tolerance(0.2)

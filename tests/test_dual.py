"""A router over experts: its certificates against closed forms, and its alpha."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import binom
from torch import Tensor, nn

from rszoo.errors import DataError
from rszoo.evaluation.certify import Input, certify_inputs
from rszoo.evaluation.log import CertificationLog, read_log
from rszoo.evaluation.verify import recertify
from rszoo.smoothing.certificate import ABSTAIN, Certificate, Prediction
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.consensus import ConsensusClassifier
from rszoo.smoothing.dual import DualClassifier
from rszoo.smoothing.noise import Stream

ALPHA = 0.05
TRIALS = 1000


class HalfSpace(nn.Module):
    """Answers `inside` where the first coordinate is below `border`, else `outside`."""

    def __init__(self, border: float, *, inside: int = 0, outside: int = 1) -> None:
        super().__init__()
        self.border, self.inside, self.outside = border, inside, outside

    def forward(self, x: Tensor) -> Tensor:
        near = x[:, 0] < self.border
        answer = torch.where(near, self.inside, self.outside)
        return nn.functional.one_hot(answer, 2).float()


def smoothed(network: nn.Module, sigma: float) -> SmoothedClassifier:
    return SmoothedClassifier(network, sigma=sigma, num_classes=2, device="cpu")


def dual(router: float, expert: float, *, level: int = 0) -> DualClassifier:
    """At the origin the router's border is at `router`, that of the chosen expert at `expert`.

    Behind its border the router takes the other expert, which answers 1 everywhere: the answer
    at the origin, 0, is kept exactly up to the nearer of the two borders.
    """
    experts = [HalfSpace(-math.inf), HalfSpace(-math.inf)]
    experts[level] = HalfSpace(expert)
    routing = HalfSpace(router, inside=level, outside=1 - level)
    return DualClassifier(
        [smoothed(network, sigma) for network, sigma in zip(experts, (0.5, 1.0), strict=True)],
        smoothed(routing, 1.0),
    )


def certify(classifier: DualClassifier, **options: Any) -> Certificate:
    certificate = classifier.certify(torch.zeros(2), **{"n0": 20, "n": 1000, **options})
    assert isinstance(certificate, Certificate)
    return certificate


def wrong(classifier: DualClassifier, exact: float, *, alpha: float) -> int:
    """Return how many of the trials certify more than is true."""
    found = [certify(classifier, n=500, alpha=alpha, seed=seed) for seed in range(TRIALS)]
    return sum((one.label != 0 and one.label != ABSTAIN) or one.radius > exact for one in found)


# More wrong certificates than this come with probability 1e-4 if each is so with ALPHA.
TOO_MANY = int(binom.isf(1e-4, TRIALS, ALPHA))


@pytest.mark.parametrize(
    ("router", "expert"),
    [
        (0.499, 0.5),  # both are as near
        (0.29999, 2.0),  # the router flips just outside of its ball
        (0.0, 1.0),  # the router is undecided at the input itself
        (1.0, 0.0),
    ],
)
def test_the_failure_rate(router: float, expert: float) -> None:
    classifier = dual(router, expert, level=1)
    assert wrong(classifier, min(router, expert), alpha=ALPHA) <= TOO_MANY


def test_the_failure_rate_would_show_three_times_the_alpha() -> None:
    assert wrong(dual(0.29999, 2.0, level=1), 0.29999, alpha=3 * ALPHA) > TOO_MANY
    assert wrong(dual(3.0, 0.4), 0.4, alpha=3 * ALPHA) > TOO_MANY


def test_the_smaller_radius_is_certified() -> None:
    near = certify(dual(0.45, 2.0, level=1), n=20_000)
    assert near.routing is not None
    assert near.label == 0
    assert near.routing.router_level == 1
    assert near.radius == near.routing.router_radius
    assert 0.29 < near.radius < 0.41  # on the grid, one step given up at most
    assert near.routing.expert_radius > 1.5
    far = certify(dual(2.0, 0.45), n=20_000)
    assert far.routing is not None
    assert 0.4 < far.radius == far.routing.expert_radius < 0.45
    assert far.routing.router_radius >= far.radius
    assert far.sigma == 0.5


def test_the_expert_is_that_of_the_certificate_alone() -> None:
    classifier = dual(3.0, 0.4)
    alone = classifier.experts[0].certify(torch.zeros(2), n0=20, n=1000, alpha=0.01)
    assert isinstance(alone, Certificate)
    whole = certify(classifier, alpha=0.01)
    assert (whole.votes, whole.p_lower) == (alone.votes, alone.p_lower)
    assert whole.routing is not None
    assert whole.routing.expert_radius == alone.radius


def test_a_router_that_is_sure_needs_few_draws() -> None:
    whole = certify(dual(3.0, 0.4), n=100_000, alpha=0.001)
    assert whole.routing is not None
    assert whole.draws == 100_000
    assert whole.routing.router_spent < 500


@pytest.mark.parametrize(("router", "expert"), [(0.0, 1.0), (1.0, 0.0)])
def test_either_part_may_abstain(router: float, expert: float) -> None:
    whole = certify(dual(router, expert), alpha=0.001)
    assert (whole.label, whole.radius) == (ABSTAIN, 0.0)
    assert whole.routing is not None
    if expert == 0.0:  # nothing is left for the router to decide
        assert whole.routing.router_spent == 0


def test_the_noise_of_router_and_expert_is_not_the_same() -> None:
    classifier = dual(0.5, 0.5)
    classifier.router.sigma = 0.5
    whole = certify(classifier)
    assert whole.routing is not None
    looks = classifier.experts[0].votes(torch.zeros(2), n=whole.routing.router_draws)
    assert whole.routing.router_votes != looks[0]


def test_the_router_selects_and_estimates_on_different_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    classifier = dual(0.5, 0.5)
    used = []
    running = classifier.router.running

    def spy(*args: Any, stream: Stream, **options: Any) -> Any:  # noqa: ANN401
        used.append(stream)
        return running(*args, stream=stream, **options)

    monkeypatch.setattr(classifier.router, "running", spy)
    certify(classifier)
    assert used == [Stream.ROUTER_SELECTION, Stream.ROUTER_ESTIMATION]


def test_prediction() -> None:
    sure = dual(1.0, 1.0, level=1).predict(torch.zeros(2), n=1000)
    assert isinstance(sure, Prediction)
    assert sure.label == 0
    for undecided in (dual(0.0, 1.0), dual(1.0, 0.0)):
        given = undecided.predict(torch.zeros(2), n=1000)
        assert isinstance(given, Prediction)
        assert given.label == ABSTAIN


def test_a_batch_is_its_inputs_one_by_one() -> None:
    classifier = dual(0.5, 0.4)
    x = torch.tensor([[0.0, 0.0], [0.1, 0.0], [-1.0, 0.3]])
    batch = classifier.certify(x, n0=20, n=1000)
    assert batch == [classifier.certify(one, n0=20, n=1000) for one in x]


def test_bad_input_and_bad_parts() -> None:
    classifier = dual(0.5, 0.4)
    with pytest.raises(DataError, match="expected finite pixels"):
        classifier.certify(torch.full((2,), math.nan))
    with pytest.raises(ValueError, match="expected no radii and no tolerance"):
        classifier.certify(torch.zeros(2), radii=[0.1])
    experts = [smoothed(HalfSpace(0.0), 0.5)] * 3
    with pytest.raises(ValueError, match="a router with 3 classes"):
        DualClassifier(experts, experts[0])


# --- consensus


def consensus(*borders: float) -> ConsensusClassifier:
    """Experts with these borders, and a router that may do anything."""
    experts = [smoothed(HalfSpace(border), 0.5 + i / 2) for i, border in enumerate(borders)]
    router = SmoothedClassifier(nn.Linear(2, len(borders)), sigma=1.0, num_classes=len(borders))
    return ConsensusClassifier(DualClassifier(experts, router))


def agreed(classifier: ConsensusClassifier, *, n: int, alpha: float, seed: int) -> Certificate:
    found = classifier.certify(torch.zeros(2), n0=20, n=n, alpha=alpha, seed=seed)
    assert isinstance(found, Certificate)
    return found


@pytest.mark.parametrize("borders", [(0.4, 0.4), (0.4, 3.0), (3.0, 0.4), (0.0, 1.0)])
def test_the_failure_rate_of_a_consensus(borders: tuple[float, ...]) -> None:
    classifier = consensus(*borders)
    found = [agreed(classifier, n=500, alpha=ALPHA, seed=seed) for seed in range(TRIALS)]
    failed = sum(
        one.label not in (0, ABSTAIN) or one.radius > min(borders) for one in found
    )  # fmt: skip
    assert failed <= TOO_MANY


def test_the_failure_rate_of_a_consensus_would_show_three_times_the_alpha() -> None:
    classifier = consensus(0.4, 3.0)
    found = [agreed(classifier, n=500, alpha=3 * ALPHA, seed=seed) for seed in range(TRIALS)]
    assert sum(one.radius > 0.4 for one in found) > TOO_MANY


def test_a_consensus_is_its_weakest_expert() -> None:
    classifier = consensus(0.4, 0.9)
    whole = agreed(classifier, n=1000, alpha=0.001, seed=0)
    alone = [
        expert.certify(torch.zeros(2), n0=20, n=1000, alpha=0.001, seed=0)
        for expert in classifier.dual.experts
    ]
    assert whole == alone[0]
    assert whole.radius == min(one.radius for one in alone)  # type: ignore[union-attr]


@pytest.mark.parametrize("borders", [(0.4, -0.4), (-3.0, 3.0), (0.4, 0.0)])
def test_experts_that_do_not_agree(borders: tuple[float, ...]) -> None:
    whole = agreed(consensus(*borders), n=1000, alpha=0.001, seed=0)
    assert (whole.label, whole.radius) == (ABSTAIN, 0.0)


def test_a_consensus_predicts_as_the_dual_classifier_does() -> None:
    classifier = dual(1.0, 1.0)
    x = torch.zeros(2)
    assert ConsensusClassifier(classifier).predict(x) == classifier.predict(x)


def test_verify_puts_the_routers_claim_to_the_test_too(tmp_path: Path) -> None:
    inputs = [Input(0, 0, lambda: torch.zeros(2))]
    budget: dict[str, Any] = {"n0": 20, "n": 1000, "alpha": 0.001, "seed": 0}
    with CertificationLog.open(tmp_path / "a.tsv", {"router": {}}, resume=False) as log:
        list(certify_inputs(dual(3.0, 0.4), inputs, log=log, **budget))
    table = read_log(tmp_path / "a.tsv")

    def agrees(classifier: DualClassifier) -> bool:
        (found,) = recertify(classifier, table, inputs, draws=1000, level=0.001, seed=1)
        return found.agrees

    assert agrees(dual(3.0, 0.4))
    assert not agrees(dual(0.0, 0.4))  # the same expert, below a router that is undecided

"""A router over experts: its certificates against closed forms, and its alpha."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from quick_votes import QuickClassifier, check_votes
from scipy.stats import binom
from torch import Tensor, nn

from rszoo.certificates.base import ABSTAIN, Certificate, Prediction
from rszoo.certificates.kinds import protocol_of
from rszoo.errors import DataError
from rszoo.evaluation.certify import certify_inputs
from rszoo.evaluation.inputs import Input
from rszoo.evaluation.log import CertificationLog, read_log
from rszoo.evaluation.verify import recertify
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.dual import DualClassifier
from rszoo.smoothing.interface import Budget
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
    return QuickClassifier(network, sigma=sigma, num_classes=2, device="cpu")


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


def wrong(classifier: DualClassifier, exact: float, *, alpha: float, trials: int = TRIALS) -> int:
    """Return how many of the trials certify more than is true."""
    found = [certify(classifier, n=500, alpha=alpha, seed=seed) for seed in range(trials)]
    return sum((one.label != 0 and one.label != ABSTAIN) or one.radius > exact for one in found)


# More wrong certificates than this come with probability 1e-4 if each is so with ALPHA.
TOO_MANY = int(binom.isf(1e-4, TRIALS, ALPHA))
FEWER = 300
TOO_MANY_OF_FEWER = int(binom.isf(1e-4, FEWER, ALPHA))


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


def test_the_failure_rate_would_show_four_times_the_alpha() -> None:
    for classifier, exact in ((dual(0.29999, 2.0, level=1), 0.29999), (dual(3.0, 0.4), 0.4)):
        assert wrong(classifier, exact, alpha=4 * ALPHA, trials=FEWER) > TOO_MANY_OF_FEWER


def test_the_smaller_radius_is_certified() -> None:
    near = certify(dual(0.45, 2.0, level=1), n=20_000)
    assert near.details is not None
    assert near.label == 0
    assert near.details.expert_level == 1
    assert near.radius == near.details.router_radius
    assert 0.29 < near.radius < 0.41  # on the grid, one step given up at most
    assert near.details.expert_radius > 1.5
    far = certify(dual(2.0, 0.45), n=20_000)
    assert far.details is not None
    assert 0.4 < far.radius == far.details.expert_radius < 0.45
    assert far.details.router_radius >= far.radius
    assert far.sigma == 0.5


def test_the_expert_is_that_of_the_certificate_alone() -> None:
    classifier = dual(3.0, 0.4)
    alone = classifier.experts[0].certify(torch.zeros(2), n0=20, n=1000, alpha=0.01)
    assert isinstance(alone, Certificate)
    whole = certify(classifier, alpha=0.01)
    assert (whole.votes, whole.p_lower) == (alone.votes, alone.p_lower)
    assert whole.details is not None
    assert whole.details.expert_radius == alone.radius


def test_a_router_that_is_sure_needs_few_draws() -> None:
    whole = certify(dual(3.0, 0.4), n=100_000, alpha=0.001)
    assert whole.details is not None
    assert whole.draws == 100_000
    assert whole.details.router_spent < 500


@pytest.mark.parametrize(("router", "expert"), [(0.0, 1.0), (1.0, 0.0)])
def test_either_part_may_abstain(router: float, expert: float) -> None:
    whole = certify(dual(router, expert), alpha=0.001)
    assert (whole.label, whole.radius) == (ABSTAIN, 0.0)
    assert whole.details is not None
    if expert == 0.0:  # nothing is left for the router to decide
        assert whole.details.router_spent == 0


def test_the_noise_of_router_and_expert_is_not_the_same() -> None:
    classifier = dual(0.5, 0.5)
    classifier.router.sigma = 0.5
    whole = certify(classifier)
    assert whole.details is not None
    looks = classifier.experts[0].votes(torch.zeros(2), n=whole.details.router_draws)
    assert whole.details.router_votes != looks[0]


@pytest.mark.parametrize(
    ("part", "streams"),
    [
        ("router", [Stream.ROUTER_SELECTION, Stream.ROUTER_ESTIMATION]),
        ("expert", [Stream.SELECTION, Stream.ESTIMATION]),
    ],
)
def test_selection_and_estimation_use_different_draws(
    part: str, streams: list[Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = dual(0.5, 0.5)
    spied = classifier.router if part == "router" else classifier.experts[0]
    used = []
    running = spied.running

    def spy(*args: Any, stream: Stream, **options: Any) -> Any:  # noqa: ANN401
        used.append(stream)
        return running(*args, stream=stream, **options)

    monkeypatch.setattr(spied, "running", spy)
    certify(classifier)
    assert used == streams


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
    batch = classifier.certify_batch(x, n0=20, n=1000)
    assert batch == [classifier.certify(one, n0=20, n=1000) for one in x]


def test_bad_input_and_bad_parts() -> None:
    classifier = dual(0.5, 0.4)
    with pytest.raises(DataError, match="expected finite pixels"):
        classifier.certify(torch.full((2,), math.nan))
    with pytest.raises(ValueError, match="expected no n_max with a DualClassifier"):
        classifier.certify(torch.zeros(2), n_max=200_000)
    experts = [smoothed(HalfSpace(0.0), 0.5)] * 3
    with pytest.raises(ValueError, match="a router with 3 classes"):
        DualClassifier(experts, experts[0])
    router = SmoothedClassifier(HalfSpace(0.0), sigma=1.0, num_classes=2, device="cpu", sound=True)
    with pytest.raises(ValueError, match=r"all sound, or none, got sound=\[False, False, True\]"):
        DualClassifier(experts[:2], router)


# --- several experts where the router is undecided


class Steps(nn.Module):
    """Answers how many of the borders the first coordinate has passed."""

    def __init__(self, *borders: float) -> None:
        super().__init__()
        self.borders = torch.tensor(borders)

    def forward(self, x: Tensor) -> Tensor:
        passed = (x[:, :1] >= self.borders).sum(1)
        return nn.functional.one_hot(passed, len(self.borders) + 1).float()


def three(router: tuple[float, float], experts: tuple[float, float, float]) -> DualClassifier:
    """Three experts with these borders, and a router with these between its levels.

    The median of the noise is 0: the exact router takes the level of the point itself.
    """
    return DualClassifier(
        [
            smoothed(HalfSpace(border), sigma)
            for border, sigma in zip(experts, (0.5, 1.0, 0.7), strict=True)
        ],
        QuickClassifier(Steps(*router), sigma=1.0, num_classes=3, device="cpu"),
    )


UNDECIDED = [
    # Just beside a border of the router, two experts agree:
    (three((0.05, 9.0), (3.0, 0.4, -9.0)), 0.4),  # up to a border of the second,
    (three((0.05, 0.29999), (3.0, 3.0, -9.0)), 0.29999),  # up to the third expert, above them,
    (three((-0.29999, 0.05), (-9.0, 3.0, 3.0)), 0.29999),  # or below.
    # All agree, and the router may do anything:
    (three((0.0, 0.0), (9.0, 0.4, 9.0)), 0.4),
    (three((0.0, 0.0), (9.0, 9.0, 0.0)), 0.0),
]


def test_these_classifiers_vote_as_usual() -> None:
    for classifier in (dual(0.499, 0.5), *(classifier for classifier, _ in UNDECIDED)):
        for part in (*classifier.experts, classifier.router):
            check_votes(part, torch.zeros(2))


@pytest.mark.parametrize(("classifier", "exact"), UNDECIDED)
def test_the_failure_rate_with_several_experts(classifier: DualClassifier, exact: float) -> None:
    assert wrong(classifier, exact, alpha=ALPHA) <= TOO_MANY


@pytest.mark.parametrize(("which", "times"), [(0, 4), (1, 12), (2, 12), (3, 4)])
def test_the_failure_rate_with_several_experts_would_show_more_alpha(
    which: int, times: int
) -> None:
    classifier, exact = UNDECIDED[which]
    found = wrong(classifier, exact, alpha=times * ALPHA, trials=FEWER)
    assert found > TOO_MANY_OF_FEWER


def test_two_experts_agree_beside_a_border_of_the_router() -> None:
    whole = certify(three((0.05, 2.0), (1.2, 0.6, -9.0)), n0=100, n=20_000)
    assert whole.details is not None
    assert (whole.details.lowest_level, whole.details.highest_level) == (0, 1)
    assert whole.details.expert_level == 1  # the nearer of the two borders
    assert whole.label == 0
    assert 0.5 < whole.radius == whole.details.expert_radius < 0.6
    (other,) = whole.details.others
    assert (other.level, other.sigma) == (0, 0.5)
    assert other.radius >= whole.radius
    assert other.spent < 2000


def test_the_other_expert_may_be_the_nearer_one_after_all() -> None:
    # Few draws select the first expert, by its sigma; the second reaches less far.
    classifier = three((0.05, 9.0), (0.45, 0.4, -9.0))
    found = [certify(classifier, n0=5, n=20_000, seed=seed) for seed in range(20)]
    mistaken = [one for one in found if one.details and one.details.expert_level == 0
                and one.details.others]  # fmt: skip
    assert mistaken
    for one in mistaken:
        assert one.details is not None
        assert one.radius == min(one.details.expert_radius, one.details.others[0].radius) < 0.4


def test_a_consensus_needs_no_router() -> None:
    whole = certify(three((0.0, 0.0), (0.4, 0.9, 0.9)), n0=100)
    assert whole.details is not None
    assert (whole.details.lowest_level, whole.details.highest_level) == (0, 2)
    assert whole.details.router_draws == 0
    assert len(whole.details.others) == 2
    assert 0.25 < whole.radius < 0.4


@pytest.mark.parametrize("borders", [(0.4, -0.4, 0.4), (-3.0, 3.0, 3.0), (0.4, 0.0, 0.4)])
def test_experts_that_do_not_agree(borders: tuple[float, float, float]) -> None:
    whole = certify(three((0.0, 0.0), borders), alpha=0.001)
    assert (whole.label, whole.radius) == (ABSTAIN, 0.0)


def test_experts_that_seem_to_agree_by_chance() -> None:
    classifier = three((0.0, 0.0), (0.4, -0.4, 0.4))
    found = [certify(classifier, n0=2, alpha=0.001, seed=seed) for seed in range(100)]
    tried = [one for one in found if one.details and one.details.others]
    assert tried
    assert all(one.label == ABSTAIN for one in tried)


def test_one_expert_alone_where_it_reaches_further() -> None:
    whole = certify(three((1.0, 2.0), (0.9, 0.1, 0.1)))
    assert whole.details is not None
    assert (whole.details.lowest_level, whole.details.highest_level) == (0, 0)
    assert whole.details.others == ()


def test_prediction_beside_a_border_of_the_router() -> None:
    agreed = three((0.0, 9.0), (1.0, 1.0, -9.0)).predict(torch.zeros(2), n=1000)
    assert isinstance(agreed, Prediction)
    assert agreed.label == 0
    split = three((0.0, 9.0), (1.0, -1.0, -9.0)).predict(torch.zeros(2), n=1000)
    assert isinstance(split, Prediction)
    assert split.label == ABSTAIN


@pytest.mark.parametrize(
    "classifier",
    [
        three((1e-9, 9.0), (9.0, -9.0, -9.0)),  # barely the first expert, which answers 0
        three((-9.0, 1e-9), (-9.0, 9.0, -9.0)),  # barely the second
        three((-9.0, 9.0), (-9.0, 1e-9, -9.0)),  # its border is barely not passed
    ],
)
def test_the_failure_rate_of_predictions(classifier: DualClassifier) -> None:
    def mistakes(alpha: float, trials: int) -> int:
        found = [
            classifier.predict(torch.zeros(2), n=500, alpha=alpha, seed=seed)
            for seed in range(trials)
        ]
        return sum(one.label == 1 for one in found)  # type: ignore[union-attr]

    assert mistakes(ALPHA, TRIALS) <= TOO_MANY
    # Each of these is one test of several: its share of alpha is a fourth, or half of a half.
    assert mistakes(0.9, FEWER) > TOO_MANY_OF_FEWER


def test_verify_puts_the_routers_claim_to_the_test_too(tmp_path: Path) -> None:
    inputs = [Input(0, 0, lambda: torch.zeros(2))]
    budget: dict[str, Any] = {"n0": 20, "n": 1000, "alpha": 0.001, "seed": 0}
    classifier = dual(3.0, 0.4)
    protocol = protocol_of(classifier.protocol_entries)
    with CertificationLog.open(tmp_path / "a.tsv", protocol, resume=False) as log:
        list(certify_inputs(classifier, inputs, Budget(**budget), log=log))
    table = read_log(tmp_path / "a.tsv")

    def agrees(classifier: DualClassifier) -> bool:
        (found,) = recertify(classifier, table, inputs, draws=1000, level=0.001, seed=1)
        return found.agrees

    assert agrees(dual(3.0, 0.4))
    assert not agrees(dual(0.0, 0.4))  # the same expert, below a router that is undecided


def test_verify_puts_every_expert_to_the_test(tmp_path: Path) -> None:
    inputs = [Input(0, 0, lambda: torch.zeros(2))]
    true = three((0.05, 2.0), (1.2, 0.6, -9.0))
    budget: dict[str, Any] = {"n0": 100, "n": 1000, "alpha": 0.001, "seed": 0}
    with CertificationLog.open(
        tmp_path / "a.tsv", protocol_of(true.protocol_entries), resume=False
    ) as log:
        list(certify_inputs(true, inputs, Budget(**budget), log=log))
    table = read_log(tmp_path / "a.tsv")
    assert table.certificate(0) == true.certify(torch.zeros(2), **budget)

    def agrees(classifier: DualClassifier) -> bool:
        (found,) = recertify(classifier, table, inputs, draws=1000, level=0.001, seed=1)
        return found.agrees

    assert agrees(true)
    assert not agrees(three((0.05, 2.0), (0.2, 0.6, -9.0)))  # another first expert
    assert not agrees(three((0.05, 0.2), (1.2, 0.6, -9.0)))  # the router, above
    assert not agrees(three((-0.2, 2.0), (0.2, 0.6, -9.0)))  # or below

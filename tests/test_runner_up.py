"""Certificates that bound the runner-up: right as often as they say, and refused where forged."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import gammaln, ndtri
from scipy.stats import beta, binom
from torch import Tensor, nn

import rszoo
from rszoo.certificates.base import ABSTAIN, Certificate, certificate_from_votes
from rszoo.certificates.counts import RunnerUp, runner_up_of
from rszoo.certificates.kind import BOUNDS, Kind
from rszoo.certificates.kinds import kind, kind_of_bound, protocol_of
from rszoo.certificates.kinds.chosen import Chosen
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.given import inputs_given
from rszoo.evaluation.log import CertificationLog, LogTable, read_log
from rszoo.evaluation.replay import planned, replay
from rszoo.evaluation.verify import recertify
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.theory.bounds import clopper_pearson_lower, clopper_pearson_upper
from rszoo.theory.radii import certified_radius, radius_between

RUNNER_UP, CHOSEN = kind("runner_up"), kind("chosen")
SIGMA = 0.5

Votes = NDArray[np.int64]


def of(one: Kind, counts0: list[int], counts: list[int], **more: float) -> Certificate:
    """Return the certificate that counts give."""
    assert one.of_counts is not None
    budget = {"n0": sum(counts0), "n": sum(counts), "alpha": 0.001, "sigma": SIGMA, **more}
    return one.of_counts(counts0, counts, **budget)


def test_the_upper_bound_is_the_lower_one_of_the_failures() -> None:
    for successes, trials, alpha in (
        (0, 10, 0.05),
        (3, 10, 0.05),
        (9, 10, 0.01),
        (7, 10**5, 1e-3),
    ):
        upper = clopper_pearson_upper(successes, trials, alpha)
        lower = clopper_pearson_lower(trials - successes, trials, alpha)
        assert upper == pytest.approx(1.0 - lower, abs=3e-12)
        exact = beta.ppf(1.0 - alpha, successes + 1, trials - successes)
        assert 0.0 <= upper / exact - 1.0 < 2e-12  # up, and hardly
        assert binom.cdf(successes, trials, upper) <= alpha
    assert clopper_pearson_upper(10, 10, 0.05) == 1.0
    assert clopper_pearson_upper(0, 10**5, 5e-4) == pytest.approx(1 - 5e-4 ** (1 / 10**5))


def test_the_radius_between_two_bounds() -> None:
    # Phi^-1 of .8413447 and .3085375 are 1 and -1/2.
    assert radius_between(0.8413447, 0.3085375, 0.5) == pytest.approx(0.375, abs=1e-6)
    assert radius_between(0.3, 0.3, 0.5) == radius_between(0.2, 0.3, 0.5) == 0.0
    for p in (0.5, 0.5000001, 0.7, 0.99993):
        both = radius_between(p, 1.0 - p, 2.0)
        assert both == pytest.approx(certified_radius(p, 2.0), abs=1e-11)
        assert both <= 2.0 * ndtri(p)
    for wrong in ((1.0, 0.5, 1.0), (0.5, 0.0, 1.0), (0.5, 1.1, 1.0), (0.5, 0.4, 0.0)):
        with pytest.raises(ValueError, match=r"expected"):
            radius_between(*wrong)


def test_a_certificate_by_hand() -> None:
    found = of(RUNNER_UP, [3, 0, 1], [600, 250, 150])
    lower, upper = clopper_pearson_lower(600, 1000, 5e-4), clopper_pearson_upper(250, 1000, 5e-4)
    assert found == Certificate(
        label=0,
        radius=radius_between(lower, upper, SIGMA),
        p_lower=lower,
        candidate=0,
        votes=600,
        n0=4,
        n=1000,
        alpha=0.001,
        sigma=SIGMA,
        draws=1000,
        spent=1000,
        details=RunnerUp(
            classes=3,
            runner_up=1,
            runner_up_votes=250,
            other_upper=upper,
            counts=(600, 250, 150),
        ),
    )
    assert found.radius == pytest.approx(0.25 * (ndtri(lower) - ndtri(upper)), abs=1e-9)
    # It may certify a class that has no majority, and abstains where two are as good as equal.
    assert of(RUNNER_UP, [1, 0, 0], [450, 300, 250]).label == 0
    tied = of(RUNNER_UP, [1, 0, 0], [400, 350, 250])
    assert (tied.label, tied.radius) == (ABSTAIN, 0.0)
    # The candidate is that of the n0 draws, whatever the others say.
    assert of(RUNNER_UP, [0, 1, 0], [900, 60, 40]).label == ABSTAIN


def test_with_all_draws_on_one_class_it_costs_what_half_of_alpha_costs() -> None:
    for n, cost in ((100_000, 0.00622), (10_000, 0.00865)):
        found = of(RUNNER_UP, [9, 0], [n, 0]).radius
        published = certificate_from_votes(0, n, n0=9, n=n, alpha=0.001, sigma=SIGMA).radius
        assert 1.0 - found / published == pytest.approx(cost, abs=5e-5)
        assert of(CHOSEN, [9, 0], [n, 0]).radius == pytest.approx(published, abs=1e-8)


def test_the_n0_draws_choose_the_bound() -> None:
    several, none = [60, 20, 20], [99, 1, 0]
    # Other classes shared the rest: the runner-up's, whatever the n draws are.
    assert of(CHOSEN, several, [999, 1, 0]).radius == of(RUNNER_UP, [9, 0, 0], [999, 1, 0]).radius
    # So it is where neither lets expect anything: the published one could find nothing.
    few = of(CHOSEN, [39, 30, 31], [450, 300, 250])
    assert few.radius == of(RUNNER_UP, [9, 0, 0], [450, 300, 250]).radius > 0.0
    first = of(CHOSEN, none, [600, 250, 150])
    assert first.radius == pytest.approx(
        certificate_from_votes(0, 600, n0=100, n=1000, alpha=0.001, sigma=SIGMA).radius, abs=1e-8
    )
    assert isinstance(first.details, Chosen)
    assert (first.details.first_votes, first.details.first_runner_up_votes) == (99, 1)


def outcomes(n: int) -> Votes:
    """Return all counts of three classes, `[outcomes, 3]`."""
    return np.array([(a, b, n - a - b) for a in range(n + 1) for b in range(n + 1 - a)])


def worst(radii: NDArray[np.float64], counts: Votes, alpha: float, *, first: int = 1) -> float:
    """Return the largest probability of claiming too much of class 0, in units of alpha.

    Args:
        radii: in units of sigma, for each of the outcomes; -inf for an abstention.
        first: of the classes that class 0 is compared with.
    """
    chosen = gammaln(counts.sum(1) + 1) - gammaln(counts + 1).sum(1)
    shares = np.arange(0.01, 1.0, 0.02)
    found = 0.0
    for a in shares:
        for b in shares[shares < 1.0 - a]:
            p = np.maximum([a, b, 1.0 - a - b], 1e-12)
            true = (ndtri(a) - ndtri(p[first:].max())) / 2
            wrong = radii > true if true > 0.0 else radii > -np.inf
            found = max(found, float(np.exp(chosen + counts @ np.log(p))[wrong].sum()))
    return found / alpha


def claims(one: Kind, counts: Votes, alpha: float) -> NDArray[np.float64]:
    def radius(row: list[int]) -> float:
        found = of(one, [1, 0, 0], row, alpha=alpha, sigma=1.0)
        return found.radius if found.label != ABSTAIN else -math.inf

    return np.array([radius(row) for row in counts.tolist()])


@pytest.mark.parametrize(("n", "alpha"), [(20, 0.05), (40, 0.2)])
def test_by_enumeration_it_is_wrong_with_half_of_alpha_at_most(n: int, alpha: float) -> None:
    counts = outcomes(n)
    right = claims(RUNNER_UP, counts, alpha)
    assert 0.4 < worst(right, counts, alpha) < 0.5
    # Controls: the runner-up's share without a bound, and the bound of one fixed class alone.
    lower = np.array([clopper_pearson_lower(k, n, alpha / 2) for k in range(n + 1)])
    upper = np.array([clopper_pearson_upper(k, n, alpha / 2) for k in range(n + 1)])
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (ndtri(lower[counts[:, 0]]) - ndtri(counts[:, 1:].max(1) / n)) / 2
        fixed = (ndtri(lower[counts[:, 0]]) - ndtri(upper[counts[:, 1]])) / 2
    assert worst(np.where(shares > 0.0, shares, -np.inf), counts, alpha) > 2.0
    assert worst(np.where(fixed > 0.0, fixed, -np.inf), counts, alpha) > 2.0


TRIALS = 2000
P = np.array([0.4, 0.3, 0.1, 0.1, 0.1])


def overclaims(one: Kind, p: NDArray[np.float64], n: int, alpha: float) -> int:
    """Return how many of many certificates of class 0 claim more than p gives."""
    rng = np.random.default_rng(3)
    true = SIGMA / 2 * (ndtri(p[0]) - ndtri(p[1:].max()))
    wrong = 0
    for _ in range(TRIALS):
        first, counts = rng.multinomial(50, p).tolist(), rng.multinomial(n, p).tolist()
        found = of(one, first, counts, alpha=alpha)
        wrong += found.label != ABSTAIN and (found.label != 0 or found.radius > true)
    return wrong


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("p", [P, np.array([0.85, 0.15]), np.array([0.34, 0.33, 0.33])])
def test_claims_exceed_the_truth_at_most_as_often_as_allowed(
    bound: str, p: NDArray[np.float64]
) -> None:
    alpha = 0.05
    wrong = overclaims(kind_of_bound(bound), p, 500, alpha)
    assert wrong <= binom.ppf(0.999, TRIALS, alpha)


def test_claims_are_not_idle_and_a_smaller_bound_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    alpha, most = 0.05, binom.ppf(0.999, TRIALS, 0.05)
    assert overclaims(RUNNER_UP, np.array([0.85, 0.15]), 500, alpha) > 0.3 * alpha * TRIALS
    from rszoo.certificates.kinds import runner_up

    monkeypatch.setattr(runner_up, "clopper_pearson_upper", lambda k, n, alpha: max(k, 1) / n)
    assert overclaims(RUNNER_UP, P, 500, alpha) > 1.5 * most


class Cells(nn.Module):
    """Class 0 left of 0.3 on the first axis, 1 farther right, between them one of many."""

    def __init__(self, width: float, between: int) -> None:
        super().__init__()
        self.width, self.between = width, between

    def forward(self, x: Tensor) -> Tensor:
        first = x[:, 0] - 0.3
        cell = 2 + ((first / self.width).clamp(0, 0.999) * self.between).long()
        answer = torch.where(first < 0, 0, torch.where(first >= self.width, 1, cell))
        return nn.functional.one_hot(answer, 2 + self.between).float()


def test_a_smoothed_classifier_whose_radius_is_known() -> None:
    # Moved by d along the axis, classes 0 and 1 are equally likely where the middle is reached.
    network, x = Cells(0.6, 12), torch.tensor([0.4, 0.0])
    smoothed = SmoothedClassifier(network, sigma=SIGMA, num_classes=14, device="cpu")
    true = 0.3 - 0.1
    radii = {
        bound: smoothed.certify(x, n=50_000, alpha=0.001, seed=1, bound=bound).radius
        for bound in BOUNDS
    }
    assert radii["one-sided"] == 0.0  # without a majority: P(class 0) is 42 %
    assert 0.9 * true < radii["runner-up"] == radii["chosen"] < true


def test_what_cannot_be_bounded_so_is_refused() -> None:
    smoothed = SmoothedClassifier(Cells(0.6, 2), sigma=SIGMA, num_classes=4, device="cpu")
    x = torch.zeros(2)
    with pytest.raises(ValueError, match=r"expected a bound of one-sided, .*, got 'both'"):
        smoothed.certify(x, bound="both")
    with pytest.raises(ValueError, match=r"expected one of radii and bound='chosen', which"):
        smoothed.certify(x, bound="chosen", radii=[0.1])
    cascade = CascadeClassifier([smoothed.with_sigma(0.25), smoothed])
    with pytest.raises(ValueError, match=r"expected bound='one-sided' with a CascadeClassifier"):
        cascade.certify(x, bound="chosen")


def network() -> SmoothedClassifier:
    return SmoothedClassifier(
        Cells(0.6, 4), sigma=SIGMA, num_classes=6, input_shape=(2,), device="cpu"
    )


POINTS = torch.tensor([[0.05 * i, 0.0] for i in range(8)])


@pytest.fixture(params=["runner-up", "chosen"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a log of the 8 points with a bound."""
    path = tmp_path / "a.tsv"
    found = rszoo.certify(
        network(), POINTS, n=2000, seed=4, bound=request.param, log=path, progress=False
    )
    assert found.kind.bound == request.param
    assert found.certificates == [
        read_log(path).certificate(row) for row in range(8)
    ]  # what is written is what was found
    return path


def rewritten(path: Path, **changed: Any) -> Path:
    """Change values of the first row of a log."""
    head, first, *others = path.read_text().splitlines()
    row = dict(zip(head.split("\t"), first.split("\t"), strict=True))
    assert set(changed) <= set(row)
    changed = {name: str(value) for name, value in changed.items()}
    assert all(row[name] != value for name, value in changed.items())
    path.write_text("\n".join([head, "\t".join({**row, **changed}.values()), *others]) + "\n")
    return path


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"radius": 0.4}, "radius="),
        ({"other_upper": 0.01}, "other_upper="),
        ({"p_lower": 0.9}, "p_lower="),
        ({"predict": -1}, "predict=0"),
        ({"runner_up_votes": 3}, "the most votes of 5 classes that have"),
        ({"runner_up_votes": 1900}, "the most votes of 5 classes that have"),
        ({"runner_up": 0}, "two of 6 classes"),
        ({"runner_up": 6}, "two of 6 classes"),
        ({"runner_up": 3}, "n, votes, runner_up and its votes"),
        ({"candidate": 9}, "two of 9|two of 6 classes"),
        ({"classes": 7}, "the counts of 7 classes"),
        ({"classes": 1}, "two of 1 classes"),
        ({"classes": 30}, "the counts of 30 classes"),
        ({"counts": ""}, "the counts of 6 classes"),
        ({"counts": "1:2:3"}, "the counts of 6 classes"),
        ({"counts": "2000:0:0:0:0:0"}, "n, votes, runner_up and its votes"),
        ({"counts": "-1:2:3:4:5:6"}, "counts to be the votes on each class"),
        ({"counts": "a"}, "counts to be the votes on each class"),
        ({"votes": 2001}, "votes <= n"),
    ],
)
def test_what_does_not_follow_from_the_counts_is_refused(
    log: Path, changed: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DataError, match=f"line 2: expected ({problem})"):
        read_log(rewritten(log, **changed))


@pytest.mark.parametrize("log", ["chosen"], indirect=True)
@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"first_votes": 101}, "first_runner_up_votes <= first_votes <= n0"),
        ({"first_runner_up_votes": 99}, "first_runner_up_votes <= first_votes <= n0"),
        ({"first_runner_up_votes": 0}, "the most votes of 5 classes that have"),
        # Draws that would have chosen the other bound.
        ({"first_votes": 100, "first_runner_up_votes": 0}, "p_lower="),
    ],
)
def test_the_choice_is_made_again(log: Path, changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=f"line 2: expected {problem}"):
        read_log(rewritten(log, **changed))


def test_a_log_goes_on_under_its_own_bound_alone(log: Path) -> None:
    one = read_log(log).kind.bound
    again = {"n": 2000, "seed": 4, "log": log, "resume": True, "progress": False}
    assert len(rszoo.certify(network(), POINTS, bound=one, **again)) == 8
    for other in set(BOUNDS) - {one}:
        with pytest.raises(
            RszooError, match=r"another protocol:\n  --runner-up, --choose-bound: "
        ):
            rszoo.certify(network(), POINTS, bound=other, **again)


def test_a_true_log_is_confirmed_and_drawn_again(log: Path) -> None:
    table, smoothed = read_log(log), network()
    points = inputs_given(smoothed, POINTS).inputs
    found = recertify(smoothed, table, points, draws=2000, level=0.01, seed=9)
    assert all(one.agrees for one in found)
    again = replay(smoothed, table, planned(table, points, draws=10**6, seed=0), level=0.01)
    assert len(again.rows) == 8
    assert not again.disagreeing
    # By counts alone as well, as from another machine.
    assert table.protocol is not None
    elsewhere = replace(table, protocol=table.protocol.model_copy(update={"machine": None}))
    near = replay(smoothed, elsewhere, planned(table, points, draws=10**6, seed=0), level=0.01)
    assert near.flips > 0.0
    assert not near.disagreeing


def levelled(table: LogTable, path: Path) -> LogTable:
    """Write a log whose rows share the votes of all classes but the candidate equally."""
    assert table.protocol is not None
    assert table.kind.of_counts is not None
    with CertificationLog.open(path, table.protocol, resume=False) as log:
        for row in range(len(table)):
            old = table.certificate(row)
            share, rest = divmod(old.n - old.votes, 5)
            first, counts = [0] * 6, [share] * 6
            first[old.candidate], counts[old.candidate] = 100, old.votes
            counts[(old.candidate + 1) % 6] += rest
            budget = {"n0": 100, "n": old.n, "alpha": old.alpha, "sigma": old.sigma}
            log.append(
                row, int(table.label[row]), table.kind.of_counts(first, counts, **budget), 0
            )
    return read_log(path)


@pytest.mark.parametrize("log", ["runner-up"], indirect=True)
def test_a_runner_up_that_was_counted_more_often_is_found(log: Path, tmp_path: Path) -> None:
    table, smoothed = read_log(log), network()
    points = inputs_given(smoothed, POINTS).inputs
    how: dict[str, Any] = {"draws": 20_000, "level": 0.001, "seed": 9}
    assert all(one.agrees for one in recertify(smoothed, table, points, **how))
    forged = levelled(table, tmp_path / "forged.tsv")
    assert (forged.radius > table.radius).all()
    assert not all(one.agrees for one in recertify(smoothed, forged, points, **how))
    drawn = replay(smoothed, forged, planned(forged, points, draws=10**6, seed=0), level=0.01)
    assert drawn.disagreeing


@pytest.mark.parametrize("log", ["runner-up"], indirect=True)
def test_rows_of_another_number_of_classes_are_refused(log: Path) -> None:
    smoothed = SmoothedClassifier(
        Cells(0.6, 5), sigma=SIGMA, num_classes=7, input_shape=(2,), device="cpu"
    )
    points = inputs_given(smoothed, POINTS).inputs
    with pytest.raises(DataError, match=r"expected rows of 7 classes, got 6"):
        recertify(smoothed, read_log(log), points, draws=1000, level=0.01, seed=9)


def test_many_classes_leave_their_counts_out(tmp_path: Path) -> None:
    counts = [500, *[10] * 50]
    found = of(RUNNER_UP, [1, *[0] * 50], counts)
    assert isinstance(found.details, RunnerUp)
    assert (found.details.classes, found.details.counts) == (51, ())
    stated = protocol_of({"kind": "runner_up", "sigma": SIGMA})
    with CertificationLog.open(tmp_path / "a.tsv", stated, resume=False) as log:
        log.append(0, 0, found, 0.1)
    assert read_log(tmp_path / "a.tsv").certificate(0) == found


def test_all_at_once_halves_a_smaller_alpha(log: Path) -> None:
    table = read_log(log)
    assert table.kind.at_alpha is not None
    for row in range(8):
        found = table.certificate(row)
        assert table.kind.at_alpha(found, found.alpha) == found
        less = table.kind.at_alpha(found, found.alpha / 8)
        assert less.radius < found.radius or found.label == ABSTAIN


def test_the_kind_is_that_of_the_protocol(log: Path) -> None:
    beside = log.with_suffix(".json")
    stated = json.loads(beside.read_text())
    beside.write_text(json.dumps({**stated, "kind": "fixed"}))
    with pytest.raises(DataError, match=r"expected the columns .* by its protocol"):
        read_log(log)


def test_the_runner_up_is_the_first_of_several() -> None:
    assert runner_up_of([5, 9, 5], 1) == 0
    assert runner_up_of([5, 9, 9], 1) == 2
    assert runner_up_of([0, 0], 0) == 1

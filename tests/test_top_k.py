"""Certificates of sets of classes: right as often as they say, and never taken for answers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import binom
from sklearn.datasets import load_digits
from test_runner_up import POINTS, SIGMA, Cells, network, outcomes, rewritten, worst
from typer.testing import CliRunner

import rszoo
from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.certificates.kinds import kind, top_k
from rszoo.certificates.kinds.top_k import TopK, most_voted, top_k_certificate
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.given import inputs_given
from rszoo.evaluation.log import read_log
from rszoo.evaluation.merge import merge_logs
from rszoo.evaluation.metrics import differences
from rszoo.evaluation.replay import planned, replay
from rszoo.evaluation.verify import recertify
from rszoo.hub.catalog import find
from rszoo.hub.evidence import add_evidence
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.theory.bounds import clopper_pearson_lower, clopper_pearson_upper
from rszoo.theory.radii import radius_between
from rszoo_cli import app

NAME = "builtin/digits-gaussian-1.00"
ALPHA, TRIALS = 0.05, 2000
MOST = binom.ppf(0.999, TRIALS, ALPHA)


def of(counts0: list[int], counts: list[int], size: int = 2, alpha: float = 0.001) -> Certificate:
    """Return the certificate that counts give."""
    budget = {"n0": sum(counts0), "n": sum(counts), "alpha": alpha, "sigma": SIGMA}
    return top_k_certificate(counts0, counts, size=size, **budget)


def test_a_certificate_by_hand() -> None:
    found = of([3, 0, 5, 0], [300, 40, 600, 60])
    lower, upper = clopper_pearson_lower(600, 1000, 5e-4), clopper_pearson_upper(60, 1000, 5e-4)
    assert found == Certificate(
        label=ABSTAIN,
        radius=0.0,
        p_lower=lower,
        candidate=2,
        votes=600,
        n0=8,
        n=1000,
        alpha=0.001,
        sigma=SIGMA,
        draws=1000,
        spent=1000,
        details=TopK(
            classes=4,
            members=(2, 0),
            set_radius=radius_between(lower, upper, SIGMA),
            set_votes=900,
            rival=3,
            rival_votes=60,
            rival_upper=upper,
        ),
    )
    assert kind("top_k").shown_classes(found) == (2, 0)
    # The n0 draws choose the set, whatever the others say.
    assert kind("top_k").shown_classes(of([1, 2, 0, 0], [100, 100, 700, 100])) == ()
    assert most_voted([4, 7, 7, 4, 4], 4) == (1, 2, 0, 3)


def test_more_than_half_of_the_noise_proves_nothing() -> None:
    """The control of the issue: two classes with .3 each, of three, and the third has .4."""
    counts = [300, 300, 400]
    assert clopper_pearson_lower(600, 1000, 0.001) > 0.5  # what a naive bound would certify
    found = of([2, 2, 1], counts)
    assert isinstance(found.details, TopK)
    assert (found.details.members, found.details.set_votes) == ((0, 1), 600)
    assert found.details.set_radius == 0.0
    assert overclaims(np.array([0.3, 0.3, 0.4]), by_half) > 0.95 * TRIALS


def set_radius(counts0: list[int], counts: list[int]) -> float:
    found = of(counts0, counts, alpha=ALPHA).details
    assert isinstance(found, TopK)
    return found.set_radius


def by_half(counts0: list[int], counts: list[int]) -> float:
    """Return what the votes of a set would give against one half."""
    members = most_voted(counts0, 2)
    lower = clopper_pearson_lower(sum(counts[c] for c in members), sum(counts), ALPHA)
    return SIGMA * max(0.0, float(ndtri(lower)))


def overclaims(p: NDArray[np.float64], rule: Any, n: int = 500) -> int:  # noqa: ANN401
    """Return how often a rule claims more of a set of two classes, {0, 1}, than p gives."""
    rng = np.random.default_rng(3)
    # Of half-spaces, which lose the noise to each other as fast as can be.
    true = max(0.0, SIGMA / 2 * float(ndtri(p[0]) - ndtri(p[2:].max())))
    first = [4, 3, *[0] * (len(p) - 2)]
    return sum(rule(first, rng.multinomial(n, p).tolist()) > true for _ in range(TRIALS))


@pytest.mark.parametrize(
    "p",
    [[0.3, 0.3, 0.4], [0.4, 0.2, 0.2, 0.2], [0.5, 0.2, 0.1, 0.1, 0.1], [0.34, 0.33, 0.33]],
)
def test_claims_exceed_the_truth_at_most_as_often_as_allowed(p: list[float]) -> None:
    wrong = overclaims(np.array(p), set_radius)
    assert wrong <= MOST


def test_claims_are_not_idle_and_a_share_for_the_bound_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert overclaims(np.array([0.5, 0.0, 0.5]), set_radius) > 0.2 * ALPHA * TRIALS
    monkeypatch.setattr(top_k, "clopper_pearson_upper", lambda k, n, alpha: max(k, 1) / n)
    assert overclaims(np.array([0.5, 0.0, 0.5]), set_radius) > 1.5 * MOST


def test_by_enumeration_it_is_wrong_with_half_of_alpha_at_most() -> None:
    n, alpha = 30, 0.1
    counts = outcomes(n)

    def radius(row: list[int]) -> float:
        found = of([2, 1, 0], row, alpha=alpha).details
        assert isinstance(found, TopK)
        return found.set_radius / SIGMA if found.set_radius else -np.inf

    radii = np.array([radius(row) for row in counts.tolist()])
    assert 0.3 < worst(radii, counts, alpha, first=2) < 0.5
    # Control: against one half, whatever the third class has.
    lower = np.array([clopper_pearson_lower(k, n, alpha) for k in range(n + 1)])
    with np.errstate(divide="ignore"):
        half = ndtri(lower[counts[:, :2].sum(1)])
    assert worst(np.where(half > 0.0, half, -np.inf), counts, alpha, first=2) > 9.0


class Thirds(torch.nn.Module):
    """Class 0 left of 0.3 on the first axis, 1 between it and 0.9, 2 farther right."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = x[:, 0]
        answer = (first >= 0.3).long() + (first >= 0.9).long()
        return torch.nn.functional.one_hot(answer, 3).float()


def test_a_smoothed_classifier_whose_radius_is_known() -> None:
    # Classes 0 and 2 are equally likely where x is 0.6: from 0.2 that is 0.4 away.
    smoothed = SmoothedClassifier(Thirds(), sigma=SIGMA, num_classes=3, device="cpu")
    found = smoothed.certify(torch.tensor([0.2, 0.0]), n=50_000, seed=1, top_k=2).details
    assert isinstance(found, TopK)
    assert found.members == (0, 1)
    assert 0.38 < found.set_radius < 0.4
    one = smoothed.certify(torch.tensor([0.2, 0.0]), n=50_000, seed=1, bound="runner-up")
    assert one.radius < 0.2  # of class 0 alone


def test_what_cannot_be_certified_so_is_refused() -> None:
    smoothed, x = network(), torch.zeros(2)
    for size in (1, 6, 7):
        with pytest.raises(ValueError, match=r"expected top_k from 2 to 5 with a Smoothed"):
            smoothed.certify(x, top_k=size)
    with pytest.raises(ValueError, match=r"expected one of bound='runner-up' and top_k, which"):
        smoothed.certify(x, top_k=2, bound="runner-up")
    with pytest.raises(ValueError, match=r"expected one of radii and top_k, which do not go"):
        smoothed.certify(x, top_k=2, radii=[0.1])
    cascade = CascadeClassifier([smoothed.with_sigma(0.25), smoothed])
    with pytest.raises(ValueError, match=r"expected no top_k with a CascadeClassifier, got 2"):
        cascade.certify(x, top_k=2)


HOW: dict[str, Any] = {"n": 2000, "seed": 4, "progress": False}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log of eight points and sets of two classes."""
    path = tmp_path / "a.tsv"
    labels = [0, 1, 0, 1, 0, 5, 0, 0]
    found = rszoo.certify(network(), POINTS, labels=labels, top_k=2, log=path, **HOW)
    table = read_log(path, sets=True)
    assert found.certificates == [table.certificate(row) for row in range(8)]
    assert table.bound == "top-2"
    return path


def test_the_first_columns_are_an_abstention(log: Path) -> None:
    for line in log.read_text().splitlines()[1:]:
        _, _, predict, radius, correct, *_ = line.split("\t")
        assert (predict, radius, correct) == ("-1", "0.0", "0")
    with pytest.raises(DataError, match=r"expected certificates of an answer, got those of sets"):
        read_log(log)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"predict": 0}, "correct=1 for|predict=-1"),
        ({"radius": 0.1}, "radius=0.0"),
        ({"set_radius": 0.9}, "set_radius="),
        ({"rival_upper": 0.01}, "rival_upper="),
        ({"p_lower": 0.9}, "p_lower="),
        ({"rival_votes": 1}, "the most votes of 4 classes that have"),
        ({"set_votes": 0}, "votes <= set_votes <= n"),
        ({"set_votes": 2000}, "the most votes of 4 classes that have"),
        ({"members": "0:0"}, "several of 6 classes, and not all"),
        ({"members": "0"}, "K=2 by its protocol"),
        ({"members": ""}, "K=2 by its protocol"),
        ({"members": "0:1:2:3:4:5"}, "K=2 by its protocol"),
        ({"members": "0:-1"}, "members to be classes"),
        ({"members": "x"}, "members to be classes"),
        ({"members": "0:9"}, "a rival of 6 classes outside of"),
        ({"members": "1:0"}, "candidate=1, the first of the set|a rival of 6"),
        ({"rival": 0}, "a rival of 6 classes outside of"),
        ({"candidate": 5}, "candidate=0, the first of the set"),
        ({"classes": 2}, "several of 2 classes, and not all"),
    ],
)
def test_what_does_not_follow_from_the_counts_is_refused(
    log: Path, changed: dict[str, Any], problem: str
) -> None:
    if "predict" in changed:
        changed = {**changed, "correct": 1}
    with pytest.raises(DataError, match=f"line 2: expected ({problem})"):
        read_log(rewritten(log, **changed), sets=True)


def test_a_set_of_another_size_is_not_of_the_log(log: Path) -> None:
    beside = log.with_suffix(".json")
    beside.write_text(beside.read_text().replace('"top_k": 2', '"top_k": 3'))
    with pytest.raises(DataError, match=r"expected K=3 by its protocol, got 2"):
        read_log(log, sets=True)


def test_a_true_log_is_confirmed_and_drawn_again(log: Path) -> None:
    table, smoothed = read_log(log, sets=True), network()
    points = inputs_given(smoothed, POINTS, labels=table.label.tolist()).inputs
    how: dict[str, Any] = {"draws": 2000, "level": 0.01, "seed": 9}
    assert all(one.agrees for one in recertify(smoothed, table, points, **how))
    again = replay(smoothed, table, planned(table, points, draws=10**6, seed=0), level=0.01)
    assert len(again.rows) == 8
    assert not again.disagreeing
    assert table.protocol is not None
    elsewhere = replace(table, protocol=table.protocol.model_copy(update={"machine": None}))
    near = replay(smoothed, elsewhere, planned(table, points, draws=10**6, seed=0), level=0.01)
    assert not near.disagreeing
    other = SmoothedClassifier(
        Cells(2.0, 4), sigma=SIGMA, num_classes=6, input_shape=(2,), device="cpu"
    )
    assert not all(one.agrees for one in recertify(other, table, points, **how))


def test_sets_have_no_place_among_answers(log: Path, tmp_path: Path) -> None:
    labels = read_log(log, sets=True).label.tolist()
    for name, more in (("one", {}), ("three", {"top_k": 3})):
        rszoo.certify(
            network(), POINTS, labels=labels, log=tmp_path / f"{name}.tsv", **more, **HOW
        )
    one, three = tmp_path / "one.tsv", tmp_path / "three.tsv"
    assert "bound" in differences([read_log(log, sets=True), read_log(three, sets=True)])

    def said(*names: Path) -> str:
        done = CliRunner().invoke(app, ["report", *map(str, names)])
        return done.output if done.exception is None else f"{done.exception}"

    assert "expected certificates of answers, got those of sets of classes in" in said(log, one)
    both = said(log, three)
    assert both.index("bound: top-2") < both.index("bound: top-3")
    board = CliRunner().invoke(app, ["leaderboard", str(log)])
    assert "expected certificates of an answer, got those of sets" in f"{board.exception}"
    with pytest.raises(DataError, match=r"expected logs with the same columns"):
        merge_logs([log, one], tmp_path / "b.tsv")
    with pytest.raises(RszooError, match="--top-k: 3 in the first, 2 in the second"):
        merge_logs([log, three], tmp_path / "b.tsv")
    with pytest.raises(RszooError, match=r"expected certificates of an answer, got those of sets"):
        add_evidence(find(NAME), log)


def test_the_report_counts_where_the_true_class_is_in_the_set(log: Path) -> None:
    table = read_log(log, sets=True)
    shown = table.as_shown()
    members = [one.tolist() for one in map(np.array, table.details["members"])]
    radius = table.details["set_radius"]
    for row in range(8):
        inside = radius[row] > 0 and table.label[row] in members[row]
        assert shown.correct[row] == inside
        assert shown.radius[row] == radius[row]
    assert 0 < shown.correct.sum() < 8
    said = CliRunner().invoke(app, ["report", str(log)]).output
    assert said.startswith("bound: top-2\n")
    assert "certifies sets of classes, and no answer" in said
    assert "p is not known: sets of classes are certified" in said
    picture = CliRunner().invoke(app, ["report", str(log), "--plot", str(log.parent / "a.png")])
    assert picture.exit_code == 0


def test_the_option_of_certify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    some = ["certify", "-m", NAME, "--n", "200", "--skip", "120", "--seed", "1", "--top-k"]

    def said(*more: str) -> str:
        done = CliRunner().invoke(app, [*some, *more])
        return " ".join(done.output.replace("│", " ").split())

    assert said("3", "--out", "a.tsv").startswith("bound: top-3 ")
    assert read_log("a.tsv", sets=True).kind.name == "top_k"
    assert "expected --top-k below the 10 classes, got 10" in said("10")
    assert "--attach is for certificates of answers" in said("3", "--attach")
    assert "expected --runner-up or --top-k, got both" in said("3", "--runner-up")
    assert "expected --top-k without --radii" in said("3", "--radii", "0.25")
    done = CliRunner().invoke(app, ["verify", "a.tsv", "--model", NAME])
    assert done.exit_code == 0, done.output
    digits: Any = load_digits()
    np.save("x.npy", (digits.images[:1, None] / 16.0).astype(np.float32))
    own = CliRunner().invoke(app, [*some[:4], "2000", "--top-k", "3", "--seed", "1", "x.npy"])
    assert "one of" in own.output
    assert own.output.count(",") >= 2  # three names

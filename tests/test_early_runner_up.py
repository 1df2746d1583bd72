"""Certified at given radii with a bound of the runner-up: as few draws, and the same promise."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import binom
from test_runner_up import POINTS, SIGMA, Cells, network, rewritten

import rszoo
import rszoo.smoothing.runner_up as runner_up_file
from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.certificates.counts import RunnerUp
from rszoo.certificates.kinds import kind, kind_of_bound
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.given import inputs_given
from rszoo.evaluation.log import read_log
from rszoo.evaluation.metrics import differences
from rszoo.evaluation.replay import planned, replay
from rszoo.evaluation.verify import recertify
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.decisions import RadiusTests
from rszoo.smoothing.runner_up import RunnerUpTests, largest_between
from rszoo.theory.bounds import clopper_pearson_lower, clopper_pearson_upper
from rszoo.theory.radii import largest_radius, radius_between
from rszoo.theory.sequential import looks
from rszoo.theory.steps import STEPS, proportion, step_of, steps, steps_needed

Runs = NDArray[np.int64]

N, ALPHA, TRIALS = 500, 0.05, 1000
MOST = binom.ppf(0.999, TRIALS, ALPHA)
SHARES = {
    "several": np.array([0.4, 0.3, 0.1, 0.1, 0.1]),
    "two": np.array([0.85, 0.15]),
    "equal others": np.array([0.36, 0.32, 0.32]),
    "as good as none": np.array([0.98, 0.01, 0.01]),
}


def runs_of(p: NDArray[np.float64], trials: int, *, n: int = N, seed: int = 0) -> Runs:
    """Return the votes of simulated draws at each look, `[trials, L, classes]`."""
    times = np.diff(looks(n), prepend=0)
    rng = np.random.default_rng(seed)
    return rng.multinomial(times, p, size=(trials, len(times))).cumsum(1)


def true_radius(p: NDArray[np.float64]) -> float:
    """Return how far class 0 is ahead of every other one, at most."""
    return SIGMA / 2 * float(ndtri(p[0]) - ndtri(p[1:].max()))


def certificates(p: NDArray[np.float64], trials: int = TRIALS, **more: Any) -> list[Certificate]:
    """Return what simulated draws certify at the first radius that is too large, and others."""
    limit = true_radius(p) * (1 + 1e-9)
    radii = [r for r in (0.0, limit / 2, limit, limit + 0.02) if r <= more.pop("most", 1.0)]
    tests = RunnerUpTests.of(radii, sigma=SIGMA, n=N, alpha=ALPHA, **more)
    return [tests.of_runs(0, one.tolist(), n0=100) for one in runs_of(p, trials)]


@pytest.mark.parametrize("name", SHARES)
def test_claims_exceed_the_truth_at_most_as_often_as_allowed(name: str) -> None:
    given = certificates(SHARES[name])
    wrong = sum(one.label == 0 and one.radius > true_radius(SHARES[name]) for one in given)
    assert wrong <= MOST
    if name == "two":  # of whose bounds each is wrong where the other one is
        assert wrong > 0.2 * ALPHA * TRIALS


def test_wrong_is_rare_for_every_proportion() -> None:
    table = steps(N, ALPHA)
    for step in (-30, 0, 25, 60):
        rng = np.random.default_rng(step + 100)
        times = np.diff(table.looks, prepend=0)
        p = float(ndtr(step / STEPS))  # no more than the step's
        counts = rng.binomial(times, p, size=(4 * TRIALS, len(times))).cumsum(1)
        wrong = (counts >= table.above[step - table.first]).any(1).mean()
        assert 0.5 * ALPHA < wrong < ALPHA + 4 * np.sqrt(ALPHA / (4 * TRIALS))
    assert (np.diff(table.above, axis=0) >= 0).all()
    assert (table.below < table.above).all()


def overclaimed(p: NDArray[np.float64], radius: Callable[[NDArray[Any]], float]) -> int:
    """Return in how many trials a rule claims too much at some look.

    Args:
        p: probabilities of the classes.
        radius: from the votes at a look to what the rule claims.
    """
    limit = true_radius(p)
    return sum(any(radius(look) > limit for look in one) for one in runs_of(p, TRIALS // 2))


def test_bounds_by_the_running_votes_are_none() -> None:
    most = binom.ppf(0.999, TRIALS // 2, ALPHA)

    def pair_of_the_share(votes: NDArray[Any]) -> float:
        # The runner-up's running share for b, and the sequential test of the a that goes with it.
        table, look = steps(N, ALPHA), int(np.flatnonzero(looks(N) == votes.sum())[0])
        step = table.decided(int(votes[0]), look)
        return SIGMA / 2 * float(step / STEPS - ndtri(max(1, votes[1:].max()) / votes.sum()))

    def looked_at_once(votes: NDArray[Any]) -> float:
        # Bounds of a fixed number of draws, looked at all the time.
        n = int(votes.sum())
        lower = clopper_pearson_lower(int(votes[0]), n, ALPHA / 2)
        return radius_between(lower, clopper_pearson_upper(votes[1:].max(), n, ALPHA / 2), SIGMA)

    assert overclaimed(SHARES["several"], pair_of_the_share) > 1.5 * most
    assert overclaimed(SHARES["two"], looked_at_once) > most


def test_a_generous_test_and_a_wrong_noise_level_are_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    p = SHARES["two"]

    def wrong() -> int:
        return sum(one.radius > true_radius(p) for one in certificates(p, most=0.55))

    assert wrong() <= MOST
    monkeypatch.setattr(runner_up_file, "steps", lambda n, alpha: steps(n, 10 * alpha))
    assert wrong() > 1.5 * MOST
    monkeypatch.undo()
    monkeypatch.setattr(runner_up_file, "steps_needed", lambda r, s: steps_needed(r, 1.2 * s))
    assert wrong() > 1.5 * MOST


def test_steps_by_hand() -> None:
    assert step_of(0.8413447) == 40
    assert 0.0 <= proportion(-40) / 0.15865525 - 1.0 < 1e-7
    assert proportion(40) >= ndtr(1.0)
    # Steps 30 and 10 are quantiles 3/4 and 1/4: sigma / 2 (3/4 + 1/4).
    assert steps_needed(0.25, SIGMA) == 40
    for step, other in ((30, 10), (-20, 60), (100, 100)):
        radius = radius_between(proportion(step), 1.0 - proportion(other), SIGMA)
        needed = steps_needed(radius * (1.0 - 1e-9), SIGMA)
        assert needed == step + other == steps_needed(SIGMA * (step + other) / 80, SIGMA)
    assert largest_between(n=1000, alpha=0.001, sigma=SIGMA) <= largest_radius(1000, 5e-4, SIGMA)


def test_clear_cases_take_few_draws_and_others_as_much_as_all_draws_give() -> None:
    few = RunnerUpTests.of([0.0, 0.25], sigma=SIGMA, n=5000, alpha=0.001)

    def found(p: list[float]) -> list[Certificate]:
        runs = runs_of(np.array(p), 100, n=5000, seed=1)
        return [few.of_runs(0, one.tolist(), n0=100) for one in runs]

    hopeless, sure = found([0.2, 0.4, 0.4]), found([0.6, 0.1, 0.1, 0.1, 0.1])
    assert {one.label for one in hopeless} == {ABSTAIN}
    assert np.mean([one.spent for one in hopeless]) < 400
    # Without a majority of which the published bound could be sure, or by far.
    assert np.mean([one.radius == 0.25 for one in sure]) > 0.95
    assert np.mean([one.spent for one in sure]) < 1500
    published = RadiusTests.of([0.0, 0.25], sigma=SIGMA, n=5000, alpha=0.001)
    assert {
        published.of_runs(0, one.tolist(), n0=100).radius
        for one in runs_of(np.array([0.6, 0.1, 0.1, 0.1, 0.1]), 100, n=5000, seed=1)
    } == {0.0}
    fixed = kind_of_bound("runner-up").of_counts
    assert fixed is not None
    budget = {"n0": 100, "n": 5000, "alpha": 0.001, "sigma": SIGMA}
    for p in ([0.5, 0.28, 0.22], [0.505, 0.28, 0.215], [0.51, 0.28, 0.21]):
        runs = runs_of(np.array(p), 300, n=5000, seed=2)
        tests = RunnerUpTests.of([0.125], sigma=SIGMA, n=5000, alpha=0.001)
        early = np.mean([tests.of_runs(0, one.tolist(), n0=100).radius > 0 for one in runs])
        all_of = [fixed([1, 0, 0], one[-1].tolist(), **budget).radius >= 0.125 for one in runs]
        assert early > np.mean(all_of) - 0.3


def test_tolerance_stops_earlier_and_costs_no_more_than_it_says() -> None:
    p = np.array([0.6, 0.2, 0.2])
    radii = [0.05 * i for i in range(12)]
    runs = runs_of(p, 50, n=5000)
    exact, rough = (
        [
            RunnerUpTests.of(radii, sigma=SIGMA, n=5000, alpha=0.001, tolerance=given).of_runs(
                0, one.tolist(), n0=100
            )
            for one in runs
        ]
        for given in (0.0, 0.2)
    )
    assert sum(one.spent for one in rough) < 0.5 * sum(one.spent for one in exact)
    assert all(a.radius - b.radius <= 0.2 for a, b in zip(exact, rough, strict=True))


def test_the_evidence_is_the_look_at_which_the_radius_was_certified() -> None:
    table = steps(N, ALPHA / 2)
    for given in certificates(np.array([0.7, 0.1, 0.1, 0.1]), 50):
        assert isinstance(given.details, RunnerUp)
        assert given.label == 0
        assert sum(given.details.counts) == given.draws <= given.spent <= given.n
        (look,) = np.flatnonzero(table.looks == given.draws)
        one, other = step_of(given.p_lower), -step_of(given.details.other_upper)
        assert given.votes >= table.above[one - table.first, look]
        assert (
            given.draws - given.details.runner_up_votes >= table.above[other - table.first, look]
        )
        assert steps_needed(given.radius, SIGMA) <= one + other


def test_a_smoothed_classifier_whose_radius_is_known() -> None:
    # As in test_runner_up.py: moved by 0.2, classes 0 and 1 are equally likely.
    smoothed = SmoothedClassifier(Cells(0.6, 12), sigma=SIGMA, num_classes=14, device="cpu")
    x = torch.tensor([0.4, 0.0])
    how: dict[str, Any] = {"n": 50_000, "seed": 1, "bound": "runner-up"}
    given = smoothed.certify(x, radii=[0.0, 0.1, 0.17, 0.2, 0.25], **how)
    assert (given.label, given.radius) == (0, 0.17)
    assert smoothed.certify(x, radii=[0.0, 0.17], n=50_000, seed=1).label == ABSTAIN
    assert smoothed.certify(x, radii=[0.0, 0.1], **how).spent < 5000


@pytest.mark.parametrize("radii", [[], [-0.1], [0.5, 1.3], [float("nan")]])
def test_radii_that_cannot_be_certified(radii: list[float]) -> None:
    with pytest.raises(ValueError, match=r"^expected radii from 0 to 1\.2\d+, the most that n="):
        RunnerUpTests.of(radii, sigma=SIGMA, n=1000, alpha=0.001)
    with pytest.raises(ValueError, match=r"tests at a radius of at most 2,500,000,000 draws"):
        RunnerUpTests.of([0.1], sigma=SIGMA, n=10**7, alpha=0.001)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log of the 8 points of the other test."""
    path = tmp_path / "a.tsv"
    found = rszoo.certify(
        network(),
        POINTS,
        n=2000,
        seed=4,
        bound="runner-up",
        radii=[0.15, 0.3, 0.4],
        log=path,
        progress=False,
    )
    assert found.kind is kind("early_runner_up")
    assert found.certificates == [read_log(path).certificate(row) for row in range(8)]
    assert {one.radius for one in found.certificates} == {0.15, 0.3, 0.4}
    return path


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"radius": 0.5}, "radius=0.4 by its protocol"),
        ({"radius": 0.3000001}, "radius=0.3 by its protocol"),
        ({"other_upper": 0.01}, "other_upper=|predict=-1"),
        ({"p_lower": 0.9}, "p_lower="),
        ({"p_lower": proportion(60)}, "predict=-1"),
        ({"other_upper": 1.0 - proportion(60)}, "predict=-1"),
        ({"other_upper": 1.0}, "two bounds that are decided"),
        ({"predict": -1}, "p_lower=0.0"),
        ({"runner_up_votes": 1}, "the most votes of 5 classes that have"),
        ({"runner_up": 0}, "two of 6 classes"),
        ({"counts": "1:2:3"}, "the counts of 6 classes"),
        ({"counts": "2000:0:0:0:0:0"}, "draws, votes, runner_up and its votes"),
        ({"draws": 51}, "votes <= draws <= spent <= n"),
        ({"spent": 3000}, "votes <= draws <= spent <= n"),
        ({"alpha": 1e-8}, "alpha=0.001 by its protocol"),
    ],
)
def test_what_does_not_follow_from_the_counts_is_refused(
    log: Path, changed: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DataError, match=f"line 2: expected ({problem})"):
        read_log(rewritten(log, **changed))


def test_a_true_log_is_confirmed_and_drawn_again(log: Path) -> None:
    table, smoothed = read_log(log), network()
    points = inputs_given(smoothed, POINTS).inputs
    how: dict[str, Any] = {"draws": 2000, "level": 0.01, "seed": 9}
    assert all(one.agrees for one in recertify(smoothed, table, points, **how))
    again = replay(smoothed, table, planned(table, points, draws=10**6, seed=0), level=0.01)
    assert len(again.rows) == 8
    assert not again.disagreeing
    assert table.protocol is not None
    elsewhere = replace(table, protocol=table.protocol.model_copy(update={"machine": None}))
    near = replay(smoothed, elsewhere, planned(table, points, draws=10**6, seed=0), level=0.01)
    assert near.flips > 0.0
    assert not near.disagreeing
    # Another network is not what the log is of.
    other = SmoothedClassifier(
        Cells(2.0, 4), sigma=SIGMA, num_classes=6, input_shape=(2,), device="cpu"
    )
    assert not all(one.agrees for one in recertify(other, table, points, **how))


def test_a_log_goes_on_under_its_own_bound_and_radii_alone(log: Path) -> None:
    again = {"n": 2000, "seed": 4, "log": log, "resume": True, "progress": False}
    radii = [0.15, 0.3, 0.4]
    assert len(rszoo.certify(network(), POINTS, bound="runner-up", radii=radii, **again)) == 8
    for other in ({"radii": radii}, {"bound": "runner-up"}):
        with pytest.raises(RszooError, match=r"another protocol:\n  --r(unner-up|adii), "):
            rszoo.certify(network(), POINTS, **other, **again)


def test_its_numbers_stand_with_no_other_bound(log: Path, tmp_path: Path) -> None:
    rszoo.certify(
        network(),
        POINTS,
        n=2000,
        seed=4,
        radii=[0.15, 0.3, 0.4],
        log=tmp_path / "b.tsv",
        progress=False,
    )
    assert differences([read_log(log), read_log(tmp_path / "b.tsv")]) == ["bound"]
    assert read_log(log).bound == "runner-up"

"""More draws where all of n agree, at the same alpha: by enumeration, in logs, and forged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom
from test_runner_up import SIGMA, Cells, rewritten
from typer.testing import CliRunner

import rszoo
from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.bound import bound_order, bound_text, known_bound, most_draws
from rszoo.certificates.kinds.extended import Extended, extended_certificate
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.given import inputs_given
from rszoo.evaluation.leaderboard.board import grouped
from rszoo.evaluation.leaderboard.entry import entry_of_log
from rszoo.evaluation.log import read_log
from rszoo.evaluation.metrics import differences, summary
from rszoo.evaluation.replay import planned, replay
from rszoo.evaluation.verify import recertify
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.noise import CHUNK
from rszoo.theory.bounds import clopper_pearson_lower
from rszoo_cli import app

N, MOST, ALPHA = 20, 60, 0.05

#: From the votes of n draws, and of those after them, to a bound.
Rule = Callable[[int, int], float]


def ours(first: int, after: int) -> float:
    draws, votes = (MOST, first + after) if first == N else (N, first)
    budget: dict[str, Any] = {"n0": 9, "n": N, "n_max": MOST, "alpha": ALPHA, "sigma": SIGMA}
    return extended_certificate(0, votes, draws=draws, **budget).p_lower


def where_it_abstains(first: int, after: int) -> float:
    """Go on with all draws where n draws certify nothing: no rule of ours."""
    alone = clopper_pearson_lower(first, N, ALPHA)
    return alone if alone >= 0.5 else clopper_pearson_lower(first + after, MOST, ALPHA)


def the_larger(first: int, after: int) -> float:
    """Take the larger of both bounds where one draw disagreed: no rule of ours."""
    both = clopper_pearson_lower(first + after, MOST, ALPHA)
    alone = clopper_pearson_lower(first, N, ALPHA)
    return max(alone, both) if first >= N - 1 else alone


def worst(rule: Rule) -> float:
    """Return the largest probability over p of a bound above p, in units of alpha."""
    firsts, afters = np.arange(N + 1), np.arange(MOST - N + 1)
    bounds = np.array([[rule(int(k), int(j)) for j in afters] for k in firsts])
    found = 0.0
    for p in np.unique(np.concatenate([bounds.ravel() - 1e-9, np.linspace(0.01, 0.999, 400)])):
        if 0.0 < p < 1.0:
            likely = np.outer(binom.pmf(firsts, N, p), binom.pmf(afters, MOST - N, p))
            found = max(found, float(likely[bounds > p].sum()))
    return found / ALPHA


def test_by_enumeration_it_is_wrong_with_alpha_at_most() -> None:
    assert 0.97 < worst(ours) <= 1.0
    assert worst(where_it_abstains) > 1.1
    assert worst(the_larger) > 1.1


def test_a_certificate_by_hand() -> None:
    budget: dict[str, Any] = {"n0": 9, "n": 100, "alpha": 0.001, "sigma": SIGMA}
    more = extended_certificate(3, 998, draws=1000, n_max=1000, **budget)
    assert more.details == Extended(n_max=1000)
    assert (more.votes, more.n, more.draws, more.spent) == (998, 100, 1000, 1000)
    assert more.p_lower == clopper_pearson_lower(998, 1000, 0.001)
    alone = extended_certificate(3, 99, draws=100, n_max=1000, **budget)
    assert (alone.draws, alone.radius) == (100, certificate_from_votes(3, 99, **budget).radius)


POINTS = torch.tensor([[0.02 * i, 0.0] for i in range(8)]) + 0.06


def network(scale: float = 0.05) -> SmoothedClassifier:
    return SmoothedClassifier(
        Cells(0.6, 4), sigma=scale, num_classes=6, input_shape=(2,), device="cpu"
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "a.tsv"
    budget: dict[str, Any] = {"n": CHUNK // 2, "n_max": 4 * CHUNK, "seed": 4, "labels": [0] * 8}
    found = rszoo.certify(network(), POINTS, log=path, progress=False, **budget)
    assert found.certificates == [read_log(path).certificate(row) for row in range(8)]
    return path


def test_more_draws_where_all_agree_and_the_others_as_they_are(log: Path) -> None:
    table, smoothed = read_log(log), network()
    first = [smoothed.votes(point, n=CHUNK // 2, seed=4) for point in POINTS]
    every = [smoothed.votes(point, n=4 * CHUNK, seed=4) for point in POINTS]
    agree = [max(votes) == CHUNK // 2 for votes in first]
    assert 2 <= sum(agree) <= 6
    assert table.spent is not None
    assert table.votes is not None
    assert table.draws is not None
    assert table.spent.tolist() == [4 * CHUNK if one else CHUNK // 2 for one in agree]
    assert table.draws.tolist() == table.spent.tolist()
    right = zip(first, every, agree, strict=True)
    assert table.votes.tolist() == [max(b) if more else max(a) for a, b, more in right]
    assert table.bound == "one-sided, up to 4,000 draws"
    assert summary(table).draws == table.spent.mean()


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"radius": 1.0}, "radius="),
        ({"n_max": 3000}, "votes <= draws <= n_max|n_max=4000 by its protocol"),
        ({"draws": 500, "spent": 500, "votes": 500}, "4000 draws where all of n=500 agree"),
        ({"draws": 2000, "spent": 2000}, "draws and spent as n|votes <= draws <= n_max"),
        ({"spent": 500}, "draws and spent as n"),
        ({"votes": 499}, "4000 draws where all of n=500 agree, and only there"),
        ({"votes": 4001}, "votes <= draws <= n_max"),
    ],
)
def test_the_stage_is_made_out_again(log: Path, changed: dict[str, Any], problem: str) -> None:
    assert read_log(log).certificate(0).draws == 4 * CHUNK
    with pytest.raises(DataError, match=f"line 2: expected ({problem})"):
        read_log(rewritten(log, **changed))


def test_a_row_that_went_on_where_one_draw_disagreed(log: Path) -> None:
    last = [row for row in log.read_text().splitlines() if row][-1].split("\t")
    head = log.read_text().splitlines()[0].split("\t")
    row = dict(zip(head, last, strict=True))
    assert (row["draws"], int(row["votes"]) < 500) == ("500", True)
    lines = log.read_text().splitlines()
    forged = {**row, "draws": "4000", "spent": "4000"}
    log.write_text("\n".join([*lines[:-1], "\t".join(forged.values())]) + "\n")
    with pytest.raises(DataError, match=r"4000 draws where all of n=500 agree, and only there"):
        read_log(log)


def test_a_log_is_confirmed_drawn_again_and_goes_on(log: Path) -> None:
    table, smoothed = read_log(log), network()
    points = inputs_given(smoothed, POINTS).inputs
    found = recertify(smoothed, table, points, draws=5000, level=0.01, seed=9)
    assert all(one.agrees for one in found)
    again = replay(smoothed, table, planned(table, points, draws=10**6, seed=0), level=0.01)
    assert (len(again.rows), len(again.disagreeing)) == (8, 0)
    how: dict[str, Any] = {"n": 500, "seed": 4, "log": log, "resume": True, "progress": False}
    how["labels"] = [0] * 8
    assert len(rszoo.certify(smoothed, POINTS, n_max=4000, **how)) == 8
    with pytest.raises(
        RszooError, match=r"another protocol:\n  --n-max: 4000 in the log, 5000 now"
    ):
        rszoo.certify(smoothed, POINTS, n_max=5000, **how)


def test_votes_that_are_too_high_after_the_first_n_are_found(log: Path) -> None:
    table = read_log(log)
    claim = table.kind.voters(table.certificate(0))[0].claims[0]
    assert claim.sample == (500, 500)
    assert claim.p_value(4999, 5000) == 1.0
    assert claim.p_value(4950, 5000) < 1e-4  # 40 of 4,000 expected, next to none counted


def test_the_p_value_of_true_rows_is_as_large_as_it_says() -> None:
    rng, p, small = np.random.default_rng(5), 0.995, 0
    budget: dict[str, Any] = {"n0": 9, "n": 200, "n_max": 2000, "alpha": 0.001, "sigma": SIGMA}
    from rszoo.certificates.kinds import kind

    for _ in range(1000):
        first, after = rng.binomial(200, p), rng.binomial(1800, p)
        draws, votes = (2000, first + after) if first == 200 else (200, first)
        given = extended_certificate(0, int(votes), draws=draws, **budget)
        claim = kind("extended").voters(given)[0].claims[0]
        small += claim.p_value(int(rng.binomial(1000, p)), 1000) <= 0.1
    assert small <= binom.ppf(0.999, 1000, 0.1)


def test_what_does_not_go_together() -> None:
    smoothed, x = network(), POINTS[0]
    with pytest.raises(ValueError, match=r"expected n_max above n=500, got 500"):
        smoothed.certify(x, n=500, n_max=500)
    with pytest.raises(ValueError, match=r"expected one of bound='runner-up' and n_max"):
        smoothed.certify(x, n=500, n_max=600, bound="runner-up")
    with pytest.raises(ValueError, match=r"expected one of radii and n_max"):
        smoothed.certify(x, n=500, n_max=600, radii=[0.1])


def test_two_numbers_of_draws_never_share_a_table(log: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.tsv"
    budget: dict[str, Any] = {"n": 500, "n_max": 5000, "seed": 4, "labels": [0] * 8}
    rszoo.certify(network(), POINTS, log=other, progress=False, **budget)
    again = tmp_path / "c.tsv"
    rszoo.certify(network(), POINTS, log=again, progress=False, **{**budget, "n_max": 4000})
    logs = [read_log(other), read_log(again)]
    assert differences(logs) == ["bound"]
    groups = grouped([entry_of_log(one, model=one.name) for one in logs])
    assert [group.bound for group in groups] == [
        "one-sided, up to 4,000 draws",
        "one-sided, up to 5,000 draws",
    ]


def test_the_words_for_a_bound() -> None:
    texts = ["chosen", "one-sided", bound_text("one-sided", 9000), "runner-up"]
    assert sorted(texts, key=bound_order) == [
        "one-sided",
        "one-sided, up to 9,000 draws",
        "runner-up",
        "chosen",
    ]
    assert [known_bound(text) for text in (*texts, "magic", None, 3)] == [
        *texts,
        *["one-sided"] * 3,
    ]
    assert [most_draws(text, 7) for text in texts] == [7, 7, 9000, 7]


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    some = ["certify", "-m", "builtin/digits-cat_rs-0.25", "--n", "100", "--skip", "60"]
    done = CliRunner().invoke(
        app, [*some, "--n-max", "400", "--seed", "1", "--out", "a.tsv"], catch_exceptions=False
    )
    assert done.stdout.startswith("bound: one-sided, up to 400 draws\n")
    stated = json.loads(Path("a.json").read_text())
    assert (stated["kind"], stated["n"], stated["n_max"]) == ("extended", 100, 400)
    table = read_log("a.tsv")
    assert table.draws is not None
    assert set(table.draws.tolist()) == {100, 400}
    said = CliRunner().invoke(app, [*some, "--n-max", "100"]).output
    assert "expected --n-max above --n 100, got 100" in " ".join(said.replace("│", " ").split())

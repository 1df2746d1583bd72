"""What composed models lose to the best of their experts: by hand, and logs that are refused."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

import rszoo
import rszoo_cli
from rszoo.certificates.base import ABSTAIN, Certificate, certificate_from_votes
from rszoo.certificates.experts import Experts, Reach
from rszoo.certificates.kinds import protocol_of
from rszoo.errors import DataError
from rszoo.evaluation import plot
from rszoo.evaluation.log import CertificationLog, LogTable, read_log
from rszoo.evaluation.look import method_of
from rszoo.evaluation.losses import losses
from rszoo.evaluation.oracle import Oracle
from rszoo.theory.bounds import clopper_pearson_lower
from rszoo_cli.report import report

ALPHA = 0.001
STATED = {"inputs": {"name": "digits"}, "n0": 9, "alpha": ALPHA}
SIGMAS = (0.25, 0.5)
# For four images of class 1: class and votes of 1,000 of each expert.
FIRST = [(1, 1000), (1, 990), (1, 900), (2, 900)]
SECOND = [(1, 990), (2, 700), (1, 900), (1, 700)]
SHOWN = """\
best of the experts: oracle and envelope are no certificates; they know the true class of each \
image, and which expert is the best one there

log                  best expert  oracle  choice loss  router loss  of the way %
────────────────────────────────────────────────────────────────────────────────
digits-cascade-0.50        0.591   0.610        0.010        0.021         -57.6
digits-dual-0.50           0.591   0.610        0.030        0.033        -224.5
digits-cascade-0.50: farthest below the envelope: 5.0 points at 0.50
digits-dual-0.50: farthest below the envelope: 11.4 points at 0.75

radius  digits-cascade-0.50 %  digits-dual-0.50 %  envelope %  oracle %
───────────────────────────────────────────────────────────────────────
0.00                     96.6                96.9        96.9      96.9
0.25                     88.8                90.0        91.6      91.6
0.50                     67.7                68.3        72.7      72.7
0.75                     26.6                18.0        29.4      32.7
1.00                      1.1                 0.2         1.1       1.1"""
LIMIT = 0.05  # how far the second expert lets the first one answer


def written(
    name: str, rows: dict[int, Certificate], stated: dict[str, object], label: int = 1
) -> LogTable:
    with CertificationLog.open(f"{name}.tsv", protocol_of(stated), resume=False) as opened:
        for idx, given in rows.items():
            opened.append(idx, label, given, 0.1)
    return read_log(f"{name}.tsv")


def expert(
    level: int,
    votes: Sequence[tuple[int, int]],
    *,
    n: int = 1000,
    alpha: float = ALPHA,
    label: int = 1,
    name: str = "",
) -> LogTable:
    sigma = SIGMAS[level]
    rows = {
        idx: certificate_from_votes(one, count * n // 1000, n0=9, n=n, alpha=alpha, sigma=sigma)
        for idx, (one, count) in enumerate(votes)
    }
    stated = {**STATED, "n": n, "alpha": alpha, "sigma": sigma}
    return written(name or f"digits-gaussian-{sigma:.2f}", rows, stated, label)


def answered(level: int, votes: tuple[int, int], *, limited: bool | None = None) -> Certificate:
    """Return the row of an expert: by itself (None), limited by the other one, or silenced."""
    own = certificate_from_votes(*votes, n0=9, n=1000, alpha=ALPHA, sigma=SIGMAS[level])
    others = (Reach(level=1, sigma=0.5, radius=LIMIT, votes=1000, draws=1000, spent=1000),)
    details = Experts(
        experts=2,
        expert_level=level,
        expert_radius=own.radius,
        others=others if limited else (),
    )
    if limited is None:
        return replace(own, details=details)
    radius = LIMIT if limited else 0.0
    return replace(own, label=own.label if limited else ABSTAIN, radius=radius, details=details)


def cascade() -> LogTable:
    rows = {
        3: answered(0, FIRST[3], limited=True),  # wrong, where the second expert is right
        1: answered(0, FIRST[1], limited=True),
        0: answered(1, SECOND[0]),
        2: answered(0, FIRST[2], limited=False),
    }
    networks = [
        {"sigma": s, "precision": "float32", "device": "cpu", "batch_size": 9} for s in SIGMAS
    ]
    return written("mine", rows, {**STATED, "n": 1000, "sigma": None, "experts": networks})


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def x(votes: int) -> float:
    return NormalDist().inv_cdf(clopper_pearson_lower(votes, 1000, ALPHA))


def test_four_images_by_hand() -> None:
    found = losses(cascade(), [expert(0, FIRST), expert(1, SECOND)], [0.0, 0.25, 0.5, 0.9])
    assert found.best == "digits-gaussian-0.50"
    # The largest radius of each image, of the expert that is right.
    oracle = (0.5 * x(990) + 0.25 * x(990) + 0.5 * x(900) + 0.5 * x(700)) / 4
    best = 0.5 * (x(990) + x(900) + x(700)) / 4
    acr = (0.5 * x(990) + LIMIT) / 4
    assert found.oracle_acr == pytest.approx(oracle, abs=1e-9)
    assert found.best_acr == pytest.approx(best, abs=1e-9)
    assert found.acr == pytest.approx(acr, abs=1e-9)
    # Image 2 has the worse of two right experts, image 3 a wrong one.
    assert found.choice == pytest.approx((0.25 * x(900) + 0.5 * x(700)) / 4, abs=1e-9)
    # Image 1 is cut to the limit, image 2 to nothing.
    assert found.router == pytest.approx((0.25 * x(990) - LIMIT + 0.25 * x(900)) / 4, abs=1e-9)
    assert found.choice + found.router == pytest.approx(oracle - acr, abs=1e-12)
    assert found.way == pytest.approx((acr - best) / (oracle - best), abs=1e-9)
    # First expert: 0.61, 0.49, 0.27 and wrong; second: 0.99, wrong, 0.55, 0.19; composed: 0.99,
    # 0.05 and nothing.
    assert found.envelope == (0.75, 0.75, 0.5, 0.25)
    assert found.oracle_accuracy == (1.0, 0.75, 0.5, 0.25)
    assert (found.below, found.below_at) == (0.5, 0.25)
    assert not found.certified


def test_an_oracle_of_two_images() -> None:
    other = Oracle(radii=np.array([[0.3, 0.0], [0.0, 0.2]]), right=np.eye(2, dtype=bool))
    assert (other.best, other.best_acr, other.acr) == (0, 0.15, 0.25)
    assert other.way(0.05) == pytest.approx(-1.0)
    assert other.envelope([0.0, 0.25, 0.3]).tolist() == [0.5, 0.5, 0.5]
    assert other.accuracy([0.0, 0.25, 0.31]).tolist() == [1.0, 0.5, 0.0]
    same = Oracle(radii=np.array([[0.3, 0.2], [0.1, 0.2]]), right=np.ones((2, 2), dtype=bool))
    assert (same.best, same.acr, same.best_acr, same.way(0.1)) == (0, 0.25, 0.25, None)


def refused(experts: Sequence[LogTable], model: LogTable | None = None) -> str:
    with pytest.raises(DataError) as caught:
        losses(model or cascade(), experts, [0.0])
    return str(caught.value)


def test_what_was_certified_otherwise_is_refused() -> None:
    first, second = expert(0, FIRST), expert(1, SECOND)
    model = cascade()
    others = {
        "n": expert(1, SECOND, n=2000, name="more"),
        "inputs": expert(1, SECOND[:3], name="fewer"),
        "alpha": expert(1, SECOND, alpha=0.01, name="surer"),
    }
    for what, other in others.items():
        assert refused([first, other], model) == (
            "expected the composed model and its experts certified alike, got mine.tsv and "
            f"{other.path}, which differ in {what}; certify both on the same inputs, with the "
            "same budget"
        )
    other = expert(1, SECOND, label=2, name="labels")
    assert "which differ in inputs" in refused([first, other], model)
    assert losses(model, [first, second], [0.0]).below == 0.25


def test_logs_that_are_not_of_the_experts_are_refused() -> None:
    first, second = expert(0, FIRST), expert(1, SECOND)
    model = cascade()
    for wrong, sigmas in (([second, first], "0.5, 0.25"), ([first], "0.25")):
        assert refused(wrong, model) == (
            "expected the log of each expert of mine.tsv, by level, of sigma 0.25, 0.5, got "
            f"{sigmas}"
        )
    another = expert(1, [(1, 920), *SECOND[1:]], name="another")
    assert refused([first, another], model) == (
        "expected the log of an expert of mine.tsv, got another.tsv, where 920 of 1,000 votes on "
        "input 0 are for class 1, and 990 by the expert; name the expert's own log"
    )
    # Other draws of the same network are no other network.
    assert losses(model, [first, expert(1, [(1, 985), *SECOND[1:]], name="seed")], [0.0])
    assert refused([first, second], first).startswith(
        "digits-gaussian-0.25.tsv: expected the log of a cascade or a dual model and its "
        "protocol, got certificates of kind 'fixed'"
    )


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(report)
    return CliRunner().invoke(app, list(arguments))


BUILTIN = ("builtin/digits-cascade-0.50", "builtin/digits-dual-0.50")
EXPERTS = [f"--expert=builtin/digits-cat_rs-{sigma}" for sigma in ("0.25", "0.50")]


def test_report_of_builtin_bundles() -> None:
    result = run(*BUILTIN, *EXPERTS)
    assert result.exit_code == 0, result.output
    shown = "\n".join(line.rstrip() for line in result.stdout.splitlines())
    assert shown[shown.index("best of") :] == SHOWN
    cascade, dual, *experts = json.loads(run(*BUILTIN, *EXPERTS, "--json").stdout)
    assert all("losses" not in entry for entry in experts)
    for entry in (cascade, dual):
        found = entry["losses"]
        assert found["certified"] is False
        assert found["best_acr"] == max(one["acr"] for one in experts)
        assert found["choice"] + found["router"] == pytest.approx(
            found["oracle_acr"] - entry["acr"]
        )
    result = run(BUILTIN[0], "--expert=builtin/digits-gaussian-0.25", EXPERTS[1])
    assert "name the expert's own log" in str(result.exception)
    assert result.stdout == ""


def test_the_composed_model_is_black_whatever_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    model, first = cascade(), expert(0, FIRST)
    assert [method_of(log) for log in (model, first)] == ["composed", "gaussian"]
    drawn: list[list[str]] = []
    monkeypatch.setattr(plot, "curve", lambda logs, path: drawn.append([one.name for one in logs]))
    expert(1, SECOND)
    names = [f"digits-gaussian-{sigma}" for sigma in ("0.25", "0.50")]
    result = run("mine.tsv", *(f"--expert={name}.tsv" for name in names), "--plot", "a.png")
    assert result.exit_code == 0, result.output
    assert drawn == [[*names, "mine"]]


def test_nothing_but_the_report_knows_an_oracle() -> None:
    packages = [Path(package.__file__ or "").parent for package in (rszoo, rszoo_cli)]
    sources = [path for package in packages for path in package.rglob("*.py")]
    knows = re.compile(r"\b(evaluation\.(losses|oracle)|evaluation import .*(losses|oracle))\b")
    found = [path.name for path in sources if knows.search(path.read_text(encoding="utf-8"))]
    assert sorted(found) == ["losses.py", "losses_shown.py", "report.py"]

"""What holds of all certificates together: by hand, by simulation, and where it is not stated."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtri
from typer.testing import CliRunner

from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.kinds import protocol_of
from rszoo.evaluation.log import CertificationLog, LogTable, read_log
from rszoo.evaluation.metrics import summary
from rszoo.evaluation.simultaneous import (
    at_once,
    expected_wrong,
    why_not_at_once,
    why_not_expected,
)
from rszoo.hub.card import card_files
from rszoo.hub.catalog import find
from rszoo.theory.bounds import clopper_pearson_lower
from rszoo.theory.rounding import as_acr, as_share
from rszoo_cli import app

LOGS = Path(__file__).parent / "fixtures/34f3b01/logs"
PARTS = "the rows were decided early or have parts, and hold at their own alpha only"


def log(path: Path, votes: list[int], *, n: int, alpha: float, count: int = 0) -> LogTable:
    """Return a log of class 1 in images of class 1."""
    inputs = {"name": "photos", "step": 1, "count": count} if count else {}
    with CertificationLog.open(path, protocol_of({"inputs": inputs}), resume=False) as opened:
        for idx, one in enumerate(votes):
            given = certificate_from_votes(1, one, n0=9, n=n, alpha=alpha, sigma=0.5)
            opened.append(idx, 1, given, 0.1)
    return read_log(path)


def test_by_hand(tmp_path: Path) -> None:
    table = log(tmp_path / "a.tsv", [1000, 990, 530, 400], n=1000, alpha=0.001)
    radii = [
        max(0.0, 0.5 * float(ndtri(clopper_pearson_lower(votes, 1000, 0.00025))))
        for votes in (1000, 990, 530, 400)
    ]
    assert radii[1] > radii[2] == radii[3] == 0.0
    found = at_once(table, [0.0, 0.9, 1.1])
    assert found is not None
    assert (found.inputs, found.alpha, found.each) == (4, 0.001, 0.00025)
    assert found.acr == pytest.approx(sum(radii) / 4)
    assert found.certified_accuracy == (0.5, 0.5, 0.25)
    assert summary(table, [0.0]).certified_accuracy == (0.5,)
    assert expected_wrong(table) == 0.004


def test_rows_that_are_left_out_count(tmp_path: Path) -> None:
    table = log(tmp_path / "a.tsv", [1000] * 4, n=1000, alpha=0.001, count=360)
    found = at_once(table, [0.0])
    assert found is not None
    assert (found.inputs, found.each) == (360, 0.001 / 360)
    each = 0.5 * float(ndtri(clopper_pearson_lower(1000, 1000, 0.001 / 360)))
    assert found.acr == pytest.approx(4 * each / 360)
    assert found.certified_accuracy == (4 / 360,)
    assert expected_wrong(table) == 0.36


def test_a_log_may_claim_any_number_of_inputs(tmp_path: Path) -> None:
    log(tmp_path / "a.tsv", [1000] * 4, n=1000, alpha=0.001, count=4)
    claimed = {"inputs": {"name": "photos", "step": 1, "count": 1 << 52}}
    (tmp_path / "a.json").write_text(json.dumps(claimed))
    assert expected_wrong(read_log(tmp_path / "a.tsv")) == pytest.approx(0.001 * 2**52)


def test_all_hold_at_once_as_often_as_stated(tmp_path: Path) -> None:
    # Every image has its class with probability p: a radius beyond that of p is wrong.
    rows, n, alpha, p, cases = 20, 500, 0.2, 0.9, 500
    table = log(tmp_path / "a.tsv", [450] * rows, n=n, alpha=alpha)
    beyond = math.nextafter(0.5 * float(ndtri(p)), 1.0)
    rng = np.random.default_rng(0)
    wrong_at_once, wrong_rows = 0, []
    lower = np.array([clopper_pearson_lower(k, n, alpha) for k in range(n + 1)])
    for _ in range(cases):
        votes = rng.binomial(n, p, rows)
        found = at_once(replace(table, votes=votes), [beyond])
        assert found is not None
        wrong_at_once += found.certified_accuracy[0] > 0
        wrong_rows.append(int((lower[votes] > p).sum()))
    error = 3 * math.sqrt(alpha * (1 - alpha) / cases)
    assert wrong_at_once / cases <= alpha + error
    # One by one they are wrong as often as they may be, and some of them nearly always.
    assert np.mean(wrong_rows) <= rows * alpha + 3 * np.std(wrong_rows) / math.sqrt(cases)
    assert np.mean(np.array(wrong_rows) > 0) > 0.9


@pytest.mark.parametrize("name", ["fixed", "mixed", "mixed-learned", "sound"])
def test_at_its_own_alpha_a_row_is_certified_as_it_was(name: str) -> None:
    table = read_log(LOGS / f"{name}.tsv")
    assert table.kind.at_alpha is not None
    for row in range(len(table)):
        given = table.certificate(row)
        assert table.kind.at_alpha(given, given.alpha) == given
        stricter = table.kind.at_alpha(given, given.alpha / 100)
        assert stricter.radius <= given.radius
        assert stricter.alpha == given.alpha / 100


@pytest.mark.parametrize(
    ("name", "expected", "reason"),
    [
        ("radii", True, PARTS),
        ("adaptive", True, PARTS),
        ("cascade", True, PARTS),
        ("dual", True, PARTS),
        ("memory", False, "the certificates rest on each other"),
        ("original", False, "the log does not say alpha"),
        ("nominal", False, "nominal radii certify nothing"),
        ("fixed", True, None),
    ],
)
def test_where_it_is_stated(name: str, expected: bool, reason: str | None) -> None:
    table = read_log(LOGS / f"{name}.tsv", nominal=True)
    assert why_not_at_once(table) == reason
    assert (at_once(table, [0.0]) is None) == (reason is not None)
    assert (why_not_expected(table) is None) == expected
    wrong = expected_wrong(table)
    assert (wrong is None) == (not expected)
    if wrong is not None:
        assert table.alpha is not None
        assert wrong >= table.alpha.sum() - 1e-12


def test_several_alpha_have_no_common_one(tmp_path: Path) -> None:
    table = log(tmp_path / "a.tsv", [1000] * 2, n=1000, alpha=0.001)
    table = replace(table, alpha=np.array([0.001, 0.01]))
    assert why_not_at_once(table) == "the rows differ in alpha"
    assert expected_wrong(table) == 0.011


def test_report_and_card_say_it() -> None:
    name = "builtin/digits-gaussian-0.25"
    evidence = find(name).evidence
    assert evidence is not None
    found = at_once(read_log(evidence), (0.0, 0.25, 0.5, 0.75))
    assert found is not None
    shares = [as_share(share) for share in found.certified_accuracy]
    assert as_acr(found.acr) == "0.538"
    said = CliRunner().invoke(app, ["report", name]).stdout.splitlines()
    of = "digits-gaussian-0.25: "
    assert f"{of}of 360 certificates 0.36 are expected to be wrong at most" in said
    assert (
        f"{of}all at once, each at alpha / 360: ACR 0.538, certified accuracy "
        f"{', '.join(shares)} % at 0.00, 0.25, 0.50, 0.75"
    ) in said
    card = card_files(find(name), "org/name")["README.md"].decode()
    assert f"| all at once, % | {' | '.join(shares)} |" in card
    assert "Of these 360 certificates 0.36 are expected to be wrong at most. With" in card
    cascade = card_files(find("builtin/digits-cascade-0.50"), "org/name")["README.md"].decode()
    assert f"What holds of all at once is not stated: {PARTS}." in cascade
    (data,) = json.loads(CliRunner().invoke(app, ["report", name, "--json"]).stdout)
    assert data["expected_wrong"] == 0.36
    assert data["at_once"]["each"] == 0.001 / 360
    assert data["without_at_once"] is None

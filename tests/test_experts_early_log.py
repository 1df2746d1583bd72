"""Logs of cascades and dual models at given radii: written, read, refused, verified, reported."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from test_cascade import half_space, undecided
from test_dual import three as three_routed
from typer.testing import CliRunner

from rszoo.certificates.base import ABSTAIN
from rszoo.certificates.experts import Experts
from rszoo.certificates.kinds import kind, protocol_of
from rszoo.certificates.kinds.dual import Routing
from rszoo.errors import DataError
from rszoo.evaluation.certify import certify_inputs, protocol
from rszoo.evaluation.inputs import Input
from rszoo.evaluation.log import CertificationLog, LogTable, protocol_path, read_log
from rszoo.evaluation.losses import losses
from rszoo.evaluation.metrics import summary
from rszoo.evaluation.replay import planned, replay
from rszoo.evaluation.verify import recertify
from rszoo.explorer.why import why
from rszoo.hub.catalog import find
from rszoo.hub.kinds.cascade import compose_cascade
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.dual import DualClassifier
from rszoo.smoothing.interface import Budget, Classifier
from rszoo_cli import app

RADII = (0.0, 0.2, 0.4)
BUDGET: dict[str, Any] = {"n0": 100, "n": 5000, "alpha": 0.001, "seed": 0, "radii": RADII}
PARTS = ["builtin/digits-cat_rs-0.25", "builtin/digits-cat_rs-0.50"]


def cascade(first: float = 9.0, second: float = 0.9, third: float = 0.6) -> CascadeClassifier:
    """Three experts, of which the first answers 1; these are distances of its and their parts."""
    return CascadeClassifier([half_space(first), undecided(-0.35, second), undecided(-0.4, third)])


def routed(above: float = 0.35, first: float = 1.2, second: float = 0.6) -> DualClassifier:
    """A router between the first two of three experts, which both answer 0."""
    return three_routed((0.05, above), (first, second, -9.0))


MODELS: dict[str, Callable[[], CascadeClassifier | DualClassifier]] = {
    "cascade": cascade,
    "dual": routed,
}


def inputs(count: int = 1) -> list[Input]:
    return [Input(i, 1, lambda at=0.2 * i: torch.tensor([at, 0.0])) for i in range(count)]


def logged(path: Path, classifier: Classifier, count: int = 1, **options: Any) -> LogTable:
    budget = Budget(**BUDGET | options)
    stated = protocol(classifier, budget, model={}, inputs={}, versions={})
    with CertificationLog.open(path, stated, resume=False) as log:
        list(certify_inputs(classifier, inputs(count), budget, log=log))
    return read_log(path)


@pytest.mark.parametrize("name", MODELS)
def test_a_log_gives_the_certificates_back(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    table = logged(tmp_path / "a.tsv", model, 3)
    assert table.kind is kind(f"{name}_early")
    assert table.tested == RADII
    assert [table.certificate(row) for row in range(3)] == [
        model.certify(one.image(), **BUDGET) for one in inputs(3)
    ]
    found = table.certificate(0)
    assert isinstance(found.details, Experts)
    assert found.details.others
    assert found.label != ABSTAIN
    assert table.radius[0] == 0.2 <= found.details.expert_radius
    spent = [found.spent, *(one.spent for one in found.details.others)]
    if isinstance(found.details, Routing):
        spent.append(found.details.router_spent)
    assert all(0 < one <= 5000 for one in spent)
    assert sum(table.parts_spent[0]) == sum(spent)  # type: ignore[index]
    known = summary(logged(tmp_path / "b.tsv", model))
    assert known.draws == sum(spent)
    assert known.undecided == float(max(spent) == 5000)


def changed(path: Path, **values: str) -> None:
    """Change some columns of the only row of a log."""
    header, row = path.read_text().splitlines()
    old = dict(zip(header.split("\t"), row.split("\t"), strict=True))
    assert all(old[name] != value for name, value in values.items())
    path.write_text(header + "\n" + "\t".join((old | values).values()) + "\n")


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("cascade", {"radius": "0.4"}, "radius=0.2"),
        ("cascade", {"radius": "0.0"}, "radius=0.2"),
        ("cascade", {"expert_radius": "0.0"}, "p_lower="),
        ("cascade", {"p_lower": "0.99"}, "p_lower="),
        ("cascade", {"p_lower": "0.0"}, "expert_radius=0.0"),
        ("cascade", {"votes": "0"}, "p_lower=0.0"),
        ("cascade", {"votes": "5001"}, "votes <= draws <= spent <= n"),
        ("cascade", {"draws": "4999", "spent": "4999"}, "p_lower=0.0"),  # where nobody looked
        ("cascade", {"spent": "5001"}, "votes <= draws <= spent <= n"),
        ("cascade", {"others": ""}, "radius=0.0"),
        ("cascade", {"others": "1:1.0:0.2:4999:5000:5000"}, "radius=0.0"),
        ("cascade", {"others": "1:1.0:0.2:4999:5000:5000;2:1.0:0.2:2000:5000:5000"}, "radius=0.0"),
        (
            "cascade",
            {"others": "1:1.0:0.2:4999:5000:5000;2:1.0:0.2:4999:4000:4000"},
            "votes <= draws",
        ),
        ("cascade", {"sigma": "5.0"}, "p_lower="),
        ("cascade", {"experts": "9"}, "radius=0.0"),
        ("cascade", {"expert_level": "2"}, "radius=0.0"),
        ("cascade", {"predict": "-1", "correct": "0"}, "radius=0.0"),
        ("dual", {"radius": "0.4"}, "radius=0.2"),
        ("dual", {"router_radius": "0.0"}, "radius=0.0"),
        ("dual", {"router_votes": "0"}, "radius=0.0"),
        ("dual", {"router_spent": "5001"}, "votes <= draws <= spent <= n"),
        ("dual", {"highest_level": "2"}, "radius=0.0"),
        ("dual", {"lowest_level": "1"}, "radius=0.0"),
    ],
)
def test_what_does_not_follow_from_the_votes_is_refused(
    tmp_path: Path, name: str, values: dict[str, str], problem: str
) -> None:
    path = tmp_path / "a.tsv"
    logged(path, MODELS[name]())
    changed(path, **values)
    with pytest.raises(DataError, match="line 2: expected"):
        read_log(path)
    protocol_path(path).unlink()
    with pytest.raises(DataError, match=problem):  # by the votes alone
        read_log(path)


@pytest.mark.parametrize(
    ("name", "stated", "problem"),
    [
        ("cascade", {"radii": [0.0, 0.4]}, r"radius=0\.[04] by its protocol, got 0\.2"),
        ("cascade", {"alpha": 0.01}, r"alpha=0\.01 by its protocol"),
        ("cascade", {"kind": "cascade"}, "expected no radii"),
        ("dual", {"radii": [0.2]}, r"radius=0\.2 by its protocol, got 0\.4"),
        ("dual", {"kind": "cascade_early"}, "expected kind 'dual'"),
    ],
)
def test_what_is_not_of_its_protocol_is_refused(
    tmp_path: Path, name: str, stated: dict[str, Any], problem: str
) -> None:
    path = tmp_path / "a.tsv"
    logged(path, MODELS[name]())
    beside = protocol_path(path)
    beside.write_text(json.dumps(json.loads(beside.read_text()) | stated))
    with pytest.raises(DataError, match=problem):
        read_log(path)
    with pytest.raises(DataError, match="expected some radii"):
        protocol_of({**MODELS[name]().protocol_entries, "kind": f"{name}_early"})


def test_abstentions_claim_nothing_and_are_read(tmp_path: Path) -> None:
    unsure = cascade(first=0.0)  # the one that answers
    passed = CascadeClassifier([half_space(9.0), undecided(-0.02, 0.6)])  # the one asked before
    for number, model in enumerate((unsure, passed)):
        table = logged(tmp_path / f"{number}.tsv", model, n0=20, radii=(0.2, 0.4))
        found = table.certificate(0)
        assert isinstance(found.details, Experts)
        assert (found.label, found.radius) == (ABSTAIN, 0.0)
        assert (found.p_lower > 0.5) == bool(found.details.others) == bool(number)
        sentences = " ".join(why(found))
        assert "the model abstains" in sentences
        assert ("seems to answer" in sentences) == (number == 0)
        (again,) = recertify(model, table, inputs(), draws=500, level=0.001, seed=1)
        assert again.agrees


def test_a_radius_of_zero_is_certain_as_well(tmp_path: Path) -> None:
    found = logged(tmp_path / "a.tsv", cascade(first=0.1)).certificate(0)
    assert isinstance(found.details, Experts)
    assert (found.label, found.radius, found.details.expert_radius) == (1, 0.0, 0.0)
    assert "Expert 0 of 3 (counted from 0) answers this class within 0.0" in " ".join(why(found))


def test_verify_puts_every_part_to_the_test(tmp_path: Path) -> None:
    def agrees(table: LogTable, model: CascadeClassifier | DualClassifier) -> bool:
        (found,) = recertify(model, table, inputs(), draws=2000, level=0.001, seed=1)
        return found.agrees

    table = logged(tmp_path / "a.tsv", cascade())
    assert agrees(table, cascade())
    assert not agrees(table, cascade(first=0.0))
    assert not agrees(table, cascade(second=0.0))
    assert not agrees(table, cascade(third=0.0))
    table = logged(tmp_path / "b.tsv", routed())
    assert agrees(table, routed())
    assert not agrees(table, routed(first=0.2))
    assert not agrees(table, routed(second=0.1))
    assert not agrees(table, routed(above=0.0))
    for model in (cascade(), routed()):
        table = logged(tmp_path / f"{type(model).__name__}.tsv", model, 3)
        again = replay(model, table, planned(table, inputs(3), draws=10**6, seed=0), level=0.01)
        assert len(again.rows) == 3
        assert not again.disagreeing


def test_what_a_model_loses_to_its_experts_is_not_said_of_given_radii(tmp_path: Path) -> None:
    table = logged(tmp_path / "a.tsv", cascade())
    with pytest.raises(DataError, match="of all n draws, got some at given radii: where draws"):
        losses(table, [table], [0.0])


# --- the command line


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def said(*arguments: str) -> str:
    return " ".join(run(*arguments).output.replace("│", " ").split())


@pytest.mark.parametrize("name", MODELS)
def test_the_options_of_certify(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = f"builtin/digits-{name}-0.50"
    some = ["certify", "-m", model, "--n", "1000", "--skip", "100", "--seed", "1"]
    assert "draws per image, of one network 1,000 at most" in said(
        *some, "--radii", "0,0.25,0.5", "--out", "a.tsv"
    )
    assert read_log("a.tsv").tested == (0.0, 0.25, 0.5)
    done = run("verify", "a.tsv", "--model", model)
    assert done.exit_code == 0, done.output
    assert "4 of 4 rows drawn again" in done.output
    assert "expected --radii from 0 to 1.2316" in said(*some, "--radii", "1.3")
    assert "--runner-up is not for models made of others" in said(
        *some, "--radii", "0.1", "--runner-up"
    )
    assert "--radius-tol between 0.005 and 5 for sigma 0.5, got" in said(
        *some, "--adaptive", "--radius-tol", "6"
    )


def test_shards_resumed_logs_boards_and_bundles_take_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    compose_cascade(tmp_path / "mine", experts=[find(one) for one in PARTS])
    some = ["certify", "-m", "mine", "--n", "1000", "--limit", "3", "--seed", "1", "--adaptive"]
    for shard in ("1/2", "2/2"):
        assert run(*some, "--shard", shard).exit_code == 0
    shards = [f"certificates/mine.{number}-of-2.tsv" for number in (1, 2)]
    assert run("merge", *shards, "--out", "merged.tsv").exit_code == 0
    assert run(*some, "--limit", "2", "--out", "whole.tsv").exit_code == 0
    assert run(*some, "--resume", "--out", "whole.tsv").exit_code == 0
    merged, whole = read_log("merged.tsv"), read_log("whole.tsv")
    assert whole.kind is kind("cascade_early")
    assert (whole.tolerance, len(whole)) == (0.05, 3)
    assert [merged.certificate(row) for row in range(3)] == [
        whole.certificate(row) for row in range(3)
    ]
    other = run(*some[:-1], "--radii", "0.1", "--resume", "--out", "whole.tsv")
    assert other.exception is not None
    assert run(*some, "--out", "c.tsv", "--attach").exit_code == 0
    assert run("verify", "mine", "--n", "500").exit_code == 0
    shown = run("leaderboard", "mine")
    assert shown.exit_code == 0, shown.output
    assert ">= 0." in shown.output

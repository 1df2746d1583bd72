"""`rszoo certify --per-input-sigma`: what is logged, what is refused, and what survives a kill."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from forks import Forks, kill_when
from typer.testing import CliRunner

from rszoo import data
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.log import read_log
from rszoo.evaluation.merge import merge_logs
from rszoo.hub.bundle import open_bundle
from rszoo.hub.evidence import add_evidence
from rszoo.hub.ids import HubId
from rszoo.hub.origin import Origin
from rszoo.hub.per_input import per_input_classifier
from rszoo.hub.push import push
from rszoo.hub.writing import write_bundle
from rszoo.smoothing.execution import Execution
from rszoo.smoothing.memory import Memory
from rszoo_cli import app

MODEL = "builtin/digits-cat_rs-0.50"
FEW = ["--n", "500", "--n0", "20", "--limit", "3", "--device", "cpu"]
NOMINAL = "nominal radius, not a certificate"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def certified(*arguments: str, model: str = MODEL) -> Result:
    done = run("certify", "--model", model, *FEW, *arguments)
    assert done.exit_code == 0, done.output
    return done


def refused(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code != 0
    if isinstance(done.exception, RszooError):
        return str(done.exception)
    return " ".join(done.stderr.replace("│", " ").split())


def rows(path: str) -> list[list[str]]:
    """Return the cells of a log, without the time that each row took."""
    cells = [line.split("\t") for line in Path(path).read_text().splitlines()]
    column = cells[0].index("time")
    return [line[:column] + line[column + 1 :] for line in cells]


def test_a_nominal_log_certifies_nothing() -> None:
    done = certified("--per-input-sigma", "nominal")
    assert NOMINAL in done.stderr
    assert "nominal ACR" in done.stdout
    assert "certified accuracy" not in done.stdout
    path = "certificates/digits-cat_rs-0.50-nominal.tsv"
    assert Path(path).read_text().splitlines()[0].endswith("\tp_lower\tnominal_radius")
    log = read_log(path, nominal=True)
    assert not log.kind.certifies
    assert log.details
    assert log.radius.tolist() == [0.0] * 3
    assert (log.details["nominal_radius"] > 0.1).all()
    assert log.protocol is not None
    assert log.protocol.values()["sigma"] is None
    assert log.protocol.values()["per_input_sigma"] == "nominal"
    assert log.protocol.values()["search"] == {
        "low": 0.25,
        "high": 1.0,
        "levels": 5,
        "steps": 3,
        "draws": 100,
    }
    before = rows(path)
    certified("--per-input-sigma", "nominal", "--resume")
    assert rows(path) == before


def test_nominal_logs_stand_beside_no_certificates() -> None:
    certified("--out", "a.tsv")
    certified("--per-input-sigma", "nominal", "--out", "b.tsv")
    said = refused("report", "a.tsv", "b.tsv")
    assert said.startswith("expected certificates, got nominal radii, which are none, in b.tsv")
    with pytest.raises(DataError, match=r"nominal radii in b\.tsv, which are none; merge logs of"):
        merge_logs(["a.tsv", "b.tsv"], "c.tsv")
    none = "b.tsv: expected certificates, got nominal radii: the noise was searched"
    assert refused("leaderboard", "b.tsv").startswith(none)
    assert refused("leaderboard", "a.tsv", "b.tsv").startswith(none)
    assert refused("verify", "b.tsv", "--model", MODEL).startswith(none)
    with pytest.raises(DataError, match=r"^b\.tsv: expected certificates, got nominal radii"):
        read_log("b.tsv")
    shown = run("leaderboard", ".")
    assert none in " ".join(shown.stderr.split())
    assert "a.tsv" in shown.stdout
    assert "b.tsv" not in shown.stdout
    alone = run("report", "b.tsv", "--json")
    assert alone.exit_code == 0
    (entry,) = json.loads(alone.stdout)
    assert (entry["name"], entry["nominal"]) == ("b (nominal)", True)
    assert entry["acr"] > 0.1
    assert f"b (nominal): {NOMINAL}" in alone.stderr
    assert not Path("c.tsv").exists()


@pytest.mark.parametrize("device", ["nominal", "memory"])
def test_nothing_of_it_gets_into_a_bundle(bundle_folder: Path, device: str) -> None:
    model = str(bundle_folder)
    assert f"not for --per-input-sigma {device}" in refused(
        "certify", "-m", model, "--per-input-sigma", device, "--attach"
    )
    certified("--per-input-sigma", device, "--out", "a.tsv", model=model)
    bundle = open_bundle(bundle_folder)
    said = "nominal radii" if device == "nominal" else "those of one with a memory"
    with pytest.raises(RszooError, match=f"expected certificates.*, got {said}"):
        add_evidence(bundle, Path("a.tsv"))
    assert open_bundle(bundle_folder).evidence is None


@pytest.mark.parametrize("device", ["nominal", "memory"])
def test_nothing_of_it_is_published(
    bundle_folder: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    certified("--per-input-sigma", device, "--out", "a.tsv", model=str(bundle_folder))
    certified("--out", "b.tsv", model=str(bundle_folder))
    # A bundle that somebody has made otherwise.
    monkeypatch.setattr("rszoo.hub.evidence.check_of_bundle_alone", lambda log: None)
    monkeypatch.setattr(
        "rszoo.hub.evidence.read_log",
        lambda path, **limits: read_log(path, nominal=True, **limits),
    )
    add_evidence(open_bundle(bundle_folder), Path("a.tsv"))
    with pytest.raises(RszooError, match=r"expected certificates.*, got (nominal|those of one w)"):
        push(open_bundle(bundle_folder), HubId("org/name"))


def test_a_memory_log_tells_the_order() -> None:
    done = certified("--per-input-sigma", "memory", "--out", "a.tsv")
    assert "memory: a.memory, 0 answers" in done.stderr
    assert NOMINAL not in done.stderr
    log = read_log("a.tsv")
    assert log.kind.certifies
    assert log.details
    assert log.details["order"].tolist() == [0, 1, 2]
    assert log.details["source"].tolist() == [0, 1, 2]
    assert (log.radius > 0.1).all()
    report = run("report", "a.tsv")
    assert report.exit_code == 0
    assert "a: holds with its memory" in report.stdout
    assert "certified accuracy" in report.stdout
    with pytest.raises(DataError, match="whose answers depend on each other through a memory"):
        merge_logs(["a.tsv"], "b.tsv")
    true = run("verify", "a.tsv", "-m", MODEL, "--n", "500", "--device", "cpu", "--seed", "5")
    assert true.exit_code == 0, true.output
    assert "3 inputs certified again" in " ".join(true.stdout.split())


def test_verify_finds_a_memory_log_of_another_noise() -> None:
    certified("--per-input-sigma", "memory", "--out", "a.tsv")
    header, *lines = Path("a.tsv").read_text().splitlines()
    names = header.split("\t")
    told = []
    for line in lines:
        row = dict(zip(names, line.split("\t"), strict=True))
        scale = 4.0 / float(row["sigma"])
        for name in ("sigma", "radius", "nominal_radius"):
            row[name] = repr(float(row[name]) * scale)
        told.append("\t".join(row.values()))
    Path("a.tsv").write_text("\n".join([header, *told]) + "\n")
    done = run("verify", "a.tsv", "-m", MODEL, "--n", "500", "--device", "cpu", "--seed", "5")
    assert done.exit_code == 1
    assert "disagrees" in done.stdout


@pytest.mark.parametrize(
    ("device", "column", "value", "problem"),
    [
        ("nominal", "radius", "0.1", "radius <= 0.0, got 0.1"),
        ("nominal", "nominal_radius", "3.0", "nominal_radius="),
        ("nominal", "predict", "-1", "predict="),
        ("memory", "radius", "3.0", "radius <= "),
        ("memory", "nominal_radius", "3.0", "nominal_radius="),
        ("memory", "votes", "501", "votes <= n"),
        ("memory", "sigma", "3.0", "nominal_radius="),
        ("memory", "predict", "4", "predict="),
        ("memory", "predict", "-1", "radius <= 0.0"),
        ("memory", "source", "1", "source <= 0, got 1"),
        ("memory", "order", "-1", "order to be an integer >= 0"),
    ],
)
def test_a_row_that_claims_more_than_it_may(
    device: str, column: str, value: str, problem: str
) -> None:
    certified("--per-input-sigma", device, "--limit", "1", "--out", "a.tsv")
    header, row = Path("a.tsv").read_text().splitlines()
    values = dict(zip(header.split("\t"), row.split("\t"), strict=True)) | {column: value}
    if column == "predict":
        values["correct"] = str(int(value == values["label"]))
    Path("a.tsv").write_text(header + "\n" + "\t".join(values.values()) + "\n")
    with pytest.raises(DataError) as caught:
        read_log("a.tsv", nominal=True)
    assert f"a.tsv, line 2: expected {problem}" in str(caught.value)


def test_own_inputs(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", data.load("digits", "test").images(torch.arange(2)).numpy())
    few = [*FEW[:4], "--device", "cpu"]
    shown = run("certify", "-m", MODEL, "x.npy", *few, "--per-input-sigma", "nominal")
    assert "nominal radius" in shown.stdout
    assert "0.999" not in shown.stdout  # the confidence of a certificate
    assert NOMINAL in shown.stderr
    told = run("certify", "-m", MODEL, "x.npy", *few, "--per-input-sigma", "nominal", "--json")
    assert [one["radius"] for one in json.loads(told.stdout)] == [0.0, 0.0]
    assert min(one["nominal_radius"] for one in json.loads(told.stdout)) > 0.1
    memory = ["--per-input-sigma", "memory"]
    assert "expected --memory FILE" in refused("certify", "-m", MODEL, "x.npy", *few, *memory)
    memory += ["--memory", "shop", "--json"]
    first = json.loads(run("certify", "-m", MODEL, "x.npy", *few, *memory).stdout)
    assert [one["order"] for one in first] == [0, 1]
    again = json.loads(run("certify", "-m", MODEL, "x.npy", *few, *memory).stdout)
    assert again == first
    with Memory.open("shop") as kept:
        assert len(kept) == 2


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--per-input-sigma", "none"], "expected --per-input-sigma dual, memory or nominal, got"),
        (["--memory", "a"], "expected --per-input-sigma memory with --memory"),
        (
            ["--per-input-sigma", "nominal", "--memory", "a"],
            "expected --per-input-sigma memory wi",
        ),
        (["--per-input-sigma", "memory", "--shard", "1/2"], "each answer depends on those before"),
        (["--per-input-sigma", "memory", "--device", "cpu,cpu"], "each answer depends on those b"),
        (
            ["--per-input-sigma", "memory", "--engine", "ray"],
            "each answer depends on those before",
        ),
        (
            ["--per-input-sigma", "nominal", "--radii", "0.5"],
            "--n-max and --top-k need one noise level",
        ),
        (
            ["--per-input-sigma", "dual"],
            "make one of a classifier with: rszoo compose dual --expert built",
        ),
    ],
)
def test_what_does_not_go_together(options: list[str], problem: str) -> None:
    assert problem in refused("certify", "-m", MODEL, *FEW[:6], *options)
    assert not list(Path().iterdir())


def test_a_resumed_log_wants_its_memory() -> None:
    certified("--per-input-sigma", "memory", "--out", "a.tsv")
    more = ["certify", "-m", MODEL, *FEW, "--per-input-sigma", "memory", "--out", "a.tsv"]
    Path("a.memory").rename("b.memory")
    said = refused(*more, "--resume")
    assert "expected the memory that its answers are in, got a.memory with 0 answers" in said
    certified("--per-input-sigma", "memory", "--out", "c.tsv", "--limit", "2")
    said = refused(*more, "--resume", "--memory", "c.memory")  # which lacks the last of them
    assert "expected the memory that its answers are in, got c.memory with 2 answers" in said
    assert "n: 500, 600 now" in refused(
        *more, "--n", "600", "--memory", "b.memory", "--out", "b.tsv"
    )


def test_a_log_that_lost_rows_gets_the_same_again() -> None:
    certified("--per-input-sigma", "memory", "--out", "a.tsv")
    whole = Path("a.tsv").read_text()
    before = rows("a.tsv")
    # Killed after an answer was remembered, and before its row was written.
    Path("a.tsv").write_text("".join(whole.splitlines(keepends=True)[:3]) + "2\t")
    certified("--per-input-sigma", "memory", "--out", "a.tsv", "--resume")
    assert rows("a.tsv") == before


def test_a_killed_run_goes_on_where_it_was(forks: Forks) -> None:
    options = ["--model", MODEL, "--n", "3000", "--limit", "12", "--device", "cpu",
               "--seed", "0", "--per-input-sigma", "memory"]  # fmt: skip
    assert run("certify", *options, "--out", "whole.tsv").exit_code == 0
    log = Path("killed.tsv")
    process = forks.start("-m", "rszoo_cli", "certify", *options, "--out", str(log))
    kill_when(lambda: log.exists() and log.read_bytes().count(b"\n") >= 4, process)
    assert 4 <= log.read_bytes().count(b"\n") < 13
    resumed = run("certify", *options, "--out", str(log), "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert rows("killed.tsv") == rows("whole.tsv")


def test_the_search_is_where_insta_rs_trained(bundle_folder: Path) -> None:
    def low(bundle: Path) -> float:
        return per_input_classifier(open_bundle(bundle), Execution(device="cpu")).search.low

    assert low(bundle_folder) == 0.125
    for text, expected in (
        ("weights: {spread: 5.0}", 0.05),
        ("weights: {spread: 0.5}", 0.125),
        ("weights: [1]", 0.125),
        ("{", 0.125),
    ):
        made = told_by(bundle_folder, text)
        assert low(made) == expected
        shutil.rmtree(made)


def told_by(bundle: Path, recipe: str) -> Path:
    """A copy of a bundle that says it was trained by Insta-RS, with that recipe."""
    opened = open_bundle(bundle)
    config = opened.of_network.model_copy(update={"method": "insta_rs"})
    return write_bundle(
        bundle.with_name("told"),
        config=config,
        network=opened.network(),
        recipe=recipe,
        origin=Origin(),
    ).path

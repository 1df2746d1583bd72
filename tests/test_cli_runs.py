"""`rszoo runs`: what it says of the store, also of one that is empty, foreign or broken."""

import json
import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Param, RunTag
from stores import moved_store
from typer.testing import CliRunner, Result

from rszoo_cli import app, console

NAME = "digits-gaussian-0.25"
DEAD = str(2**22 + 1)  # more than Linux gives to a process


@pytest.fixture(autouse=True)
def runs(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    for stream in (console.out, console.err):
        monkeypatch.setattr(stream, "width", 100)
    with moved_store(trained, tmp_path / "runs") as folder:
        yield folder


@pytest.fixture
def client(runs: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["runs", *arguments])


def listed(*arguments: str) -> list[dict[str, Any]]:
    result = run("ls", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def begin(
    client: mlflow.MlflowClient,
    *,
    params: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    status: str | None = None,
) -> str:
    """Add a run to rszoo's experiment; return its id."""
    experiment = client.get_experiment_by_name("rszoo")
    assert experiment is not None
    run_id = client.create_run(experiment.experiment_id, run_name="added").info.run_id
    client.log_batch(
        run_id,
        params=[Param(*entry) for entry in (params or {}).items()],
        tags=[RunTag(*entry) for entry in (tags or {}).items()],
    )
    if status:
        client.set_terminated(run_id, status)
    return run_id


def training(client: mlflow.MlflowClient, status: str | None = None, **tags: str) -> str:
    """Add a training of another method."""
    params = {"recipe_digest": "0" * 64, "dataset": "digits", "method": "macer", "sigma": "0.5"}
    return begin(
        client, params=params, status=status, tags={f"rszoo.{k}": v for k, v in tags.items()}
    )


def test_ls(client: mlflow.MlflowClient) -> None:
    failed = training(client, "FAILED")
    (first, second) = listed()
    assert (first["id"], first["status"], first["bundle"]) == (failed, "FAILED", None)
    assert (second["dataset"], second["method"], second["sigma"]) == ("digits", "gaussian", 0.25)
    assert second["status"] == "FINISHED"
    assert 0.2 < second["accuracy"] <= 1.0
    assert second["acr"] is None
    assert second["seconds"] > 0.0
    lines = run("ls").stdout.splitlines()
    assert lines[0].split() == "run data set method sigma status acc. % ACR time bundle".split()
    assert re.fullmatch(rf"{failed[:8]} +digits +macer +0.5 +FAILED +- +- +0 s +- *", lines[1])
    assert re.fullmatch(
        rf"{second['id'][:8]} +digits +gaussian +0.25 +FINISHED +[\d.]+ +- +\d+ s +runs/{NAME} *",
        lines[2],
    )


@pytest.mark.parametrize(
    ("filters", "methods"),
    [
        (["--method", "macer"], ["macer"]),
        (["--sigma", "0.25"], ["gaussian"]),
        (["--sigma", "0.50", "--status", "failed"], ["macer"]),
        (["--status", "FINISHED"], ["gaussian"]),
        (["--dataset", "digits"], ["macer", "gaussian"]),
        (["--dataset", "mnist"], []),
    ],
)
def test_filters(client: mlflow.MlflowClient, filters: list[str], methods: list[str]) -> None:
    training(client, "FAILED")
    assert [row["method"] for row in listed(*filters)] == methods


def test_filters_that_nothing_passes(runs: Path) -> None:
    assert run("ls", "--method", "macer").stdout.startswith("none of 1 trainings in sqlite:///")
    wrong = run("ls", "--status", "done")
    assert wrong.exit_code == 2
    assert "expected --status of running, finished, failed, killed, lost" in wrong.output


def test_runs_whose_process_is_gone(client: mlflow.MlflowClient) -> None:
    here = socket.gethostname()
    ids = {
        training(client, host=here, process=DEAD): "LOST",
        training(client, host=here, process=str(os.getpid())): "RUNNING",
        training(client, host=f"not-{here}", process=DEAD): "RUNNING",
        training(client, host=here, process="-1"): "RUNNING",
        training(client, "KILLED", host=here, process=DEAD): "KILLED",
        training(client): "RUNNING",
    }
    rows = {row["id"]: row for row in listed()}
    assert {run_id: rows[run_id]["status"] for run_id in ids} == ids
    assert {rows[i]["seconds"] is None for i, s in ids.items() if s == "LOST"} == {True}
    (lost,) = listed("--status", "lost")
    assert ids[lost["id"]] == "LOST"


def test_a_training_says_which_process_it_is(client: mlflow.MlflowClient) -> None:
    (row,) = listed()
    tags = client.get_run(row["id"]).data.tags
    assert tags["rszoo.host"] == socket.gethostname()
    assert tags["rszoo.process"] == str(os.getpid())


def test_foreign_runs_are_no_trainings_but_can_be_shown(client: mlflow.MlflowClient) -> None:
    foreign = begin(client, params={"a": "\x1b[2Jx"}, tags={"b": "y\nz"})
    assert foreign not in {row["id"] for row in listed()}
    shown = run("show", foreign)
    assert shown.exit_code == 0
    assert "\x1b" not in shown.stdout
    assert re.search(r"^param a +\\x1b\[2Jx *$", shown.stdout, re.MULTILINE)
    assert re.search(r"^tag b +y\\nz *$", shown.stdout, re.MULTILINE)


def test_show(runs: Path) -> None:
    (row,) = listed()
    result = run("show", row["id"][:10], "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert (facts["id"], facts["name"]) == (row["id"], NAME)
    assert facts["bundle"] == {"path": str(runs / NAME), "state": "there"}
    assert facts["params"]["train.epochs"] == "2"
    assert facts["metrics"]["noisy_accuracy"] == row["accuracy"]
    assert not [key for key in facts["tags"] if key.startswith("mlflow.")]
    assert [(entry["name"], entry["used"]) for entry in facts["data"]] == [
        ("digits", "train"),
        ("digits", "test"),
    ]
    size = (Path(runs, NAME) / "recipe.yaml").stat().st_size
    assert facts["artifacts"] == [{"path": "recipe.yaml", "bytes": size}]
    text = run("show", row["id"]).stdout
    assert re.search(rf"^bundle +runs/{NAME} \(there\) *$", text, re.MULTILINE)


def test_what_became_of_the_bundle(runs: Path) -> None:
    (row,) = listed()

    def state(folder: str = "runs") -> str:
        return json.loads(run("show", row["id"], "--json", "--runs", folder).stdout)["bundle"][
            "state"
        ]

    recipe = runs / NAME / "recipe.yaml"
    text = recipe.read_text()
    recipe.write_text("x")
    assert state().startswith("recipe.yaml: expected")
    recipe.write_text(text)
    shutil.copytree(runs, "elsewhere")
    shutil.rmtree(runs / NAME)
    assert state() == "not there"
    assert state("elsewhere") == "there"


def test_an_id_that_is_none_or_several(client: mlflow.MlflowClient) -> None:
    missing = run("show", "zzzz")
    assert "got 'zzzz', of none; rszoo runs ls lists the trainings" in str(missing.exception)
    for _ in range(17):  # two of them begin alike
        begin(client)
    ids = [r.info.run_id for r in client.search_runs(["1"])]
    prefix = next(i[0] for i in ids if sum(j[0] == i[0] for j in ids) > 1)
    several = run("show", prefix)
    assert re.search(rf"got '{prefix}', that of \d+: {prefix}", str(several.exception))


def test_compare(client: mlflow.MlflowClient) -> None:
    (row,) = listed()
    other = training(client, "FINISHED")
    client.log_metric(other, "noisy_accuracy", row["accuracy"] / 2)
    client.log_metric(other, "lr", float("nan"))
    found = json.loads(run("compare", row["id"], other[:12], "--json").stdout)
    assert [entry["id"] for entry in found["runs"]] == [row["id"], other]
    assert found["differ"]["method"] == ["gaussian", "macer"]
    assert found["differ"]["train.epochs"] == ["2", None]
    assert "dataset" not in found["differ"]
    assert found["metrics"]["noisy_accuracy"] == {
        "values": [row["accuracy"], row["accuracy"] / 2],
        "difference": [0.0, -row["accuracy"] / 2],
        "ratio": [1.0, 0.5],
    }
    assert found["metrics"]["lr"]["values"][1] is None
    assert found["metrics"]["lr"]["ratio"] == [None, None]  # the first is 0
    text = run("compare", row["id"], other).stdout
    assert re.search(r"^method +gaussian +macer *$", text, re.MULTILINE)
    assert re.search(rf"^ +-{row['accuracy'] / 2:.3g}, x 0.5 *$", text, re.MULTILINE)


def test_one_run_is_not_compared() -> None:
    result = run("compare", "abcd")
    assert result.exit_code == 2
    assert "expected two runs or more, got 1" in result.output


def test_no_store(tmp_path: Path) -> None:
    result = run("ls", "--runs", "none")
    assert result.stdout == "no trainings in none; begin one with: rszoo train cat_rs\n"
    assert not Path("none").exists()
    assert json.loads(run("ls", "--runs", "none", "--json").stdout) == []
    missing = run("show", "abcd", "--runs", "none")
    assert str(missing.exception) == (
        "expected an MLflow store with runs of rszoo in 'none', got none; name its folder with "
        "--runs, or set MLFLOW_TRACKING_URI"
    )


def test_a_broken_store(runs: Path) -> None:
    (runs / "mlflow.db").write_bytes(b"not a database" * 1000)
    result = run("ls")
    assert str(result.exception) == (
        f"expected an MLflow store at 'sqlite:///{runs / 'mlflow.db'}', got an error: "
        "file is not a database; see MLFLOW_TRACKING_URI"
    )


def test_the_given_store_is_read(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{runs / 'mlflow.db'}")
    assert [row["name"] for row in listed("--runs", "none")] == [NAME]

"""What MLflow knows of a training, and that its store survives interruption and company."""

import errno
import os
import shutil
import signal
import sqlite3
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from threading import Timer

import mlflow
import pytest
from forks import Forks, at_once
from mlflow.entities import Run
from mlflow.store.db import utils as database
from sqlalchemy import event
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine import Engine

from rszoo._locks import is_held
from rszoo.errors import RszooError
from rszoo.training.interruption import terminable
from rszoo.training.loop import Epoch
from rszoo.training.observer import Observer
from rszoo.training.recipes.files import load_recipe
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.run import train
from rszoo.training.tracking.lost import status_of
from rszoo.training.tracking.store import reason_of
from rszoo.training.tracking.tracked import open_tracking

NAME = "digits-gaussian-0.25"


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def empty(trained: Path, tmp_path: Path) -> Path:
    """An output folder with nothing but an MLflow store, which takes seconds to make."""
    runs = tmp_path / "runs"
    runs.mkdir()
    shutil.copy(trained / "mlflow.db", runs)
    with closing(sqlite3.connect(runs / "mlflow.db")) as store, store:
        store.execute(
            "UPDATE experiments SET artifact_location = ?", [(runs / "mlartifacts").as_uri()]
        )
        store.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
    return runs


def recipe(*overrides: str) -> Recipe:
    return load_recipe("gaussian").resolve(sigma=0.25, overrides=["train.epochs=2", *overrides])


def client(out: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{out / 'mlflow.db'}")


def parent_and_child(out: Path) -> tuple[Run, Run]:
    """Return the two runs of the one training in a store."""
    store = client(out)
    experiment = store.get_experiment_by_name("rszoo")
    assert experiment is not None
    child, parent = sorted(
        store.search_runs([experiment.experiment_id]),
        key=lambda run: "mlflow.parentRunId" not in run.data.tags,
    )
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    return parent, child


def steps(out: Path, run: Run, metric: str = "loss") -> list[int]:
    return [entry.step for entry in client(out).get_metric_history(run.info.run_id, metric)]


class Signalled(Observer):
    """Sends this process a signal in the second of two epochs."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.epochs = 0

    def finished_epoch(self, epoch: Epoch, *, noisy_accuracy: float) -> None:
        self.epochs = epoch.number

    def advanced(self, amount: int = 1) -> None:
        if self.epochs == 1:
            os.kill(os.getpid(), self.number)


def test_one_parent_per_recipe_and_one_child_per_sigma(trained: Path) -> None:
    parent, child = parent_and_child(trained)
    assert parent.info.run_name == "digits-gaussian"
    assert child.info.run_name == NAME
    assert parent.info.status == child.info.status == "FINISHED"
    params = child.data.params
    expected = {
        "method": "gaussian",
        "dataset": "digits",
        "sigma": "0.25",
        "seed": "0",
        "network.name": "small_cnn",
        "train.epochs": "2",
        "train.optimizer": recipe().train.optimizer,
        "certify.alpha": "0.001",
        "recipe_digest": recipe().digest,
    }
    assert {key: params[key] for key in expected} == expected
    assert {"rszoo", "torch", "python", "git_commit", "device", "precision"} <= set(
        child.data.tags
    )
    assert child.data.tags["device"] == "cpu"


def test_each_epoch_is_logged_once(trained: Path) -> None:
    _, child = parent_and_child(trained)
    for metric in ("loss", "lr", "images_per_second", "noisy_accuracy"):
        assert steps(trained, child, metric) == [1, 2]
    history = client(trained).get_metric_history(child.info.run_id, "noisy_accuracy")
    assert 0.2 < history[-1].value <= 1.0


def test_the_data_set_and_the_recipe_are_recorded(trained: Path) -> None:
    from rszoo import data

    _, child = parent_and_child(trained)
    entries = child.inputs.dataset_inputs
    assert [tag.value for entry in entries for tag in entry.tags] == ["train", "test"]
    for entry, split in zip(entries, ("train", "test"), strict=True):
        assert entry.dataset.name == "digits"
        assert entry.dataset.digest == data.load("digits", split).digest[:36]
    folder = Path(child.info.artifact_uri.removeprefix("file://"))
    assert (folder / "recipe.yaml").read_text() == recipe().to_yaml()
    assert [path.name for path in folder.iterdir()] == ["recipe.yaml"]


def test_nobody_else_adds_a_data_set_meanwhile(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    def log_data(run_id: str, *data: object) -> None:
        held.append(is_held(empty / ".mlflow.lock"))

    monkeypatch.setattr("rszoo.training.tracking.tracked.log_data", log_data)
    train([recipe("train.epochs=1")], out=empty)
    assert held == [True]


def test_the_bundle_is_a_logged_model_byte_for_byte(trained: Path) -> None:
    _, child = parent_and_child(trained)
    (model,) = client(trained).search_logged_models([child.info.experiment_id])
    assert model.status == "READY"
    assert model.source_run_id == child.info.run_id
    assert model.params == {"sigma": "0.25", "method": "gaussian"}
    assert model.tags["rszoo.bundle"] == NAME
    (accuracy,) = [metric.value for metric in model.metrics or ()]
    assert accuracy == child.data.metrics["noisy_accuracy"]
    folder = Path(model.artifact_location.removeprefix("file://"))
    logged = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    bundle = {path.name: path.read_bytes() for path in (trained / NAME).iterdir()}
    assert logged == bundle
    for name, content in logged.items():
        assert not name.endswith((".pkl", ".pt", ".pth", ".bin")), name
        # A pickle begins with its protocol, a torch file with the header of a zip archive.
        assert not content.startswith((b"\x80", b"PK")), name


def test_the_given_store_is_used(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "given.db"
    shutil.copy(trained / "mlflow.db", given)
    uri = f"sqlite:///{given}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    (bundle,) = train([recipe("train.epochs=1")], out=tmp_path / "runs")
    run = mlflow.MlflowClient(uri).get_run(bundle.manifest.origin.mlflow_run)
    assert run.info.run_name == NAME
    assert not (tmp_path / "runs" / "mlflow.db").exists()
    assert os.environ["MLFLOW_TRACKING_URI"] == uri


def test_a_training_does_not_decide_where_the_next_one_is_tracked(
    empty: Path, tmp_path: Path
) -> None:
    shutil.copytree(empty, tmp_path / "other")
    train([recipe("train.epochs=1")], out=empty)
    assert "MLFLOW_TRACKING_URI" not in os.environ
    train([recipe("train.epochs=1")], out=tmp_path / "other")
    for out in (empty, tmp_path / "other"):
        assert parent_and_child(out)[1].info.status == "FINISHED"


def test_a_store_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = (tmp_path / "mlruns").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(RszooError) as caught, open_tracking(tmp_path):
        pass
    message = str(caught.value)
    assert message.startswith(f"expected an MLflow store at {uri!r}, got an error: "), message
    assert message.endswith("; see MLFLOW_TRACKING_URI"), message


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_ends_the_run_as_killed_and_resuming_continues_it(
    empty: Path, number: int, raised: type[BaseException]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(raised) as caught:
        train([recipe()], out=empty, observer=Signalled(number))
    if raised is SystemExit:
        assert caught.value.args == (143,)
    assert signal.getsignal(signal.SIGTERM) is before
    parent, child = parent_and_child(empty)
    assert parent.info.status == child.info.status == "KILLED"
    assert steps(empty, child) == [1]

    train([recipe()], out=empty, resume=True)
    again = parent_and_child(empty)
    assert [run.info.run_id for run in again] == [parent.info.run_id, child.info.run_id]
    assert [run.info.status for run in again] == ["FINISHED", "FINISHED"]
    assert steps(empty, child) == [1, 2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO runs", "INSERT INTO tags", "INSERT INTO params", "INSERT INTO metrics"],
)
def test_a_signal_waits_for_the_end_of_a_write(empty: Path, number: int, statement: str) -> None:
    sent: list[str] = []

    def send(conn: object, cursor: object, sql: str, *rest: object) -> None:
        if sql.startswith(statement) and not sent:
            sent.append(sql)
            os.kill(os.getpid(), number)

    event.listen(Engine, "before_cursor_execute", send)
    try:
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train([recipe()], out=empty)
    finally:
        event.remove(Engine, "before_cursor_execute", send)
    assert sent
    store = client(empty)
    runs = store.search_runs([one.experiment_id for one in store.search_experiments()])
    assert runs
    assert {run.info.status for run in runs} == {"KILLED"}
    assert len(train([recipe()], out=empty, resume=True)) == 1


def test_a_signal_that_python_drops_comes_again(empty: Path) -> None:
    class Dropping(Signalled):
        def finished_epoch(self, epoch: Epoch, *, noisy_accuracy: float) -> None:
            with suppress(SystemExit):  # as in a finaliser
                super().finished_epoch(epoch, noisy_accuracy=noisy_accuracy)

        def advanced(self, amount: int = 1) -> None:
            with suppress(SystemExit):
                super().advanced(amount)

    with pytest.raises(SystemExit):
        train([recipe("train.epochs=4")], out=empty, observer=Dropping(signal.SIGTERM))
    parent, child = parent_and_child(empty)
    assert parent.info.status == child.info.status == "KILLED"
    assert steps(empty, child) == [1, 2]
    train([recipe("train.epochs=4")], out=empty, resume=True)  # what came is forgotten
    assert steps(empty, child) == [1, 2, 3, 4]


def test_a_training_that_fails_is_marked_so(empty: Path) -> None:
    with pytest.raises(RszooError, match="expected a finite loss"):
        train([recipe("train.lr=1e30")], out=empty)
    assert [run.info.status for run in parent_and_child(empty)] == ["FAILED", "FAILED"]


def test_another_recipe_is_another_run(empty: Path) -> None:
    with pytest.raises(RszooError, match="expected a finite loss"):
        train([recipe("train.lr=1e30")], out=empty)
    (bundle,) = train([recipe("train.epochs=1")], out=empty, resume=True)
    run = client(empty).get_run(bundle.manifest.origin.mlflow_run)
    assert run.data.params["train.lr"] == str(recipe().train.lr)


def test_a_run_that_the_store_does_not_know_is_begun_anew(empty: Path, tmp_path: Path) -> None:
    shutil.copy(empty / "mlflow.db", tmp_path)
    with pytest.raises(SystemExit):
        train([recipe()], out=empty, observer=Signalled(signal.SIGTERM))
    shutil.copy(tmp_path / "mlflow.db", empty)
    train([recipe()], out=empty, resume=True)
    _, child = parent_and_child(empty)
    assert child.info.status == "FINISHED"
    assert steps(empty, child) == [2]


STARTS = """
import sys
from pathlib import Path
from threading import Timer
from rszoo.training.tracking.lost import status_of
from rszoo.training.tracking.tracked import open_tracking
from stores import migrated_stores
migrated_stores()
sys.stdin.read()
with open_tracking(Path("runs")) as tracking, tracking.parent("one", run_id=None) as run:
    print(run)
"""


def test_three_processes_may_make_the_store_at_once(
    tmp_path: Path, forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with at_once() as gate, ExitStack() as files:
        outs = [files.enter_context(open(f"{number}", "w+b")) for number in range(3)]
        started = [forks.start("-c", STARTS, stdin=gate, stdout=out) for out in outs]
    assert [process.wait(timeout=300) for process in started] == [0, 0, 0]
    for number in range(3):
        run = Path(f"{number}").read_text().strip()
        assert client(tmp_path / "runs").get_run(run).info.status == "FINISHED"


def test_a_file_in_the_way_of_the_output_folder(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(RszooError) as caught, open_tracking(tmp_path / "runs"):
        pass
    assert str(caught.value) == f"cannot write '{tmp_path}/runs': File exists"


DIES_BETWEEN_MIGRATIONS = """
import os, pathlib, sys
from mlflow.store.db import utils
from rszoo.training.tracking.lost import status_of
from rszoo.training.tracking.tracked import open_tracking

def dies(engine):
    with engine.begin() as store:
        store.exec_driver_sql("CREATE TABLE datasets (name TEXT)")
    os._exit(9)

utils._initialize_tables = dies
with open_tracking(pathlib.Path(sys.argv[1])):
    pass
"""

DIES_IN_A_RUN = """
import os, pathlib, sys
from rszoo.training.tracking.lost import status_of
from rszoo.training.tracking.tracked import open_tracking

with open_tracking(pathlib.Path(sys.argv[1])) as tracking, tracking.parent("lost", run_id=None):
    os._exit(9)
"""


def test_a_store_is_made_as_a_whole_or_not_at_all(tmp_path: Path, forks: Forks) -> None:
    """A process that dies between two migrations leaves nothing that is in the way."""
    assert forks.start("-c", DIES_BETWEEN_MIGRATIONS, str(tmp_path)).wait() == 9
    assert not (tmp_path / "mlflow.db").exists()
    assert len(list(tmp_path.glob(".mlflow.db.*.new"))) == 1
    with open_tracking(tmp_path) as tracking, tracking.parent("after", run_id=None):
        pass
    assert [run.info.run_name for run in runs_of(tmp_path)] == ["after"]
    assert [path.name for path in tmp_path.iterdir() if "mlflow.db" in path.name] == ["mlflow.db"]


def test_a_full_disk_leaves_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(engine: Engine) -> None:
        with engine.begin() as store:
            store.exec_driver_sql("CREATE TABLE datasets (name TEXT)")
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(database, "_initialize_tables", full)
        with pytest.raises(RszooError, match="database or disk is full"), open_tracking(tmp_path):
            pass
    assert list(tmp_path.glob("*mlflow.db*")) == []
    with open_tracking(tmp_path):
        pass


def test_a_store_that_was_left_unfinished_before_says_what_to_do(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store, store:
        store.execute("CREATE TABLE datasets (name TEXT)")
    with pytest.raises(RszooError, match=r"not finished when it was made, .* move it away"):
        with open_tracking(tmp_path):
            pass


def test_a_store_that_was_moved_is_at_home_where_it_lies(trained: Path, tmp_path: Path) -> None:
    runs = tmp_path / "elsewhere"
    shutil.copytree(trained, runs)
    here, there = (folder.resolve().as_uri() for folder in (runs, trained))
    with open_tracking(runs):
        pass
    with closing(sqlite3.connect(runs / "mlflow.db")) as store:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            places = [place for (place,) in store.execute(f"SELECT {column} FROM {table}")]
            assert any(place.startswith(f"{here}/mlartifacts") for place in places)
            assert not any(place.startswith(f"{there}/") for place in places)
    _, child = parent_and_child(runs)
    listed = client(runs).list_artifacts(child.info.run_id)
    assert "recipe.yaml" in [entry.path for entry in listed]


def places_in(store: Path) -> set[str]:
    with closing(sqlite3.connect(store)) as opened:
        return {place for (place,) in opened.execute("SELECT artifact_uri FROM runs")}


def test_a_copy_of_the_store_alone_leaves_its_artifacts_where_they_are(
    trained: Path, tmp_path: Path
) -> None:
    shutil.copyfile(trained / "mlflow.db", tmp_path / "mlflow.db")
    before = places_in(tmp_path / "mlflow.db")
    with open_tracking(tmp_path):
        pass
    assert places_in(tmp_path / "mlflow.db") == before


def test_artifacts_beside_those_that_moved_stay_where_they_are(
    trained: Path, tmp_path: Path
) -> None:
    runs = Path(shutil.copytree(trained, tmp_path / "elsewhere"))
    other = f"{trained.resolve().as_uri()}/mlartifacts-2/run"
    with closing(sqlite3.connect(runs / "mlflow.db")) as store, store:
        store.execute("UPDATE runs SET artifact_uri = ? WHERE rowid = 1", [other])
    with open_tracking(runs):
        pass
    here = runs.resolve().as_uri()
    moved = places_in(runs / "mlflow.db") - {other}
    assert other in places_in(runs / "mlflow.db")
    assert all(place.startswith(f"{here}/mlartifacts/") for place in moved)


def test_who_may_only_read_sees_the_runs(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    before = [run.info.run_id for run in runs_of(trained)]
    monkeypatch.setattr("rszoo.training.tracking.store.os.access", lambda *_: False)
    monkeypatch.setattr("rszoo.training.tracking.store.exclusive", refused)
    assert [run.info.run_id for run in runs_of(trained)] == before
    with pytest.raises(RszooError, match=r"cannot write .*mlflow\.lock': Permission denied; name"):
        with open_tracking(trained):
            pass


def test_a_run_in_the_bin_is_not_resumed_but_begun_again(empty: Path) -> None:
    with open_tracking(empty) as tracking, tracking.parent("first", run_id=None) as first:
        pass
    client(empty).delete_run(first)
    with open_tracking(empty) as tracking, tracking.parent("second", run_id=first) as second:
        pass
    assert second != first
    assert [run.info.run_id for run in runs_of(empty)] == [second]


def test_an_experiment_in_the_bin_is_taken_out(empty: Path) -> None:
    experiment = client(empty).get_experiment_by_name("rszoo")
    assert experiment is not None
    client(empty).delete_experiment(experiment.experiment_id)
    with open_tracking(empty) as tracking, tracking.parent("after", run_id=None) as run:
        pass
    assert client(empty).get_run(run).info.status == "FINISHED"


def test_the_run_of_a_surrounding_job_stays_its_own(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_tracking(empty) as tracking, tracking.parent("theirs", run_id=None) as theirs:
        pass
    monkeypatch.setenv("MLFLOW_RUN_ID", theirs)
    with open_tracking(empty) as tracking, tracking.parent("ours", run_id=None) as ours:
        assert os.environ["MLFLOW_RUN_ID"] == theirs
    names = {run.info.run_id: run.info.run_name for run in runs_of(empty)}
    assert names == {theirs: "theirs", ours: "ours"}


def test_a_run_that_was_killed_outright_is_ended_by_the_next_training(
    empty: Path, forks: Forks
) -> None:
    assert forks.start("-c", DIES_IN_A_RUN, str(empty)).wait() == 9
    (lost,) = runs_of(empty)
    assert (lost.info.status, status_of(lost)) == ("RUNNING", "LOST")
    with open_tracking(empty):
        assert client(empty).get_run(lost.info.run_id).info.status == "KILLED"


def test_a_server_that_does_not_answer_is_named_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing listens there: MLflow would go on trying for minutes."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr("rszoo.training.tracking.store._SECONDS", 0.2)
    begun = time.monotonic()
    Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with terminable(), pytest.raises(KeyboardInterrupt), open_tracking(tmp_path):
        pass
    assert time.monotonic() - begun < 10
    assert "waiting for the MLflow server at http://127.0.0.1:9; Ctrl-C" in caplog.text


def test_a_registry_of_a_server_is_not_waited_for_either(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    quick_stores: None,
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://127.0.0.1:9")
    monkeypatch.setattr("rszoo.training.tracking.store._SECONDS", 0.2)
    begun = time.monotonic()

    def interrupted() -> None:
        with terminable(), open_tracking(tmp_path) as tracking:
            Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            with tracking.store.lock():
                time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - begun < 30
    assert "waiting for the MLflow server at http://127.0.0.1:9; Ctrl-C" in caplog.text


def test_a_full_disk_of_the_store_is_told_of_in_a_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    quick_stores: None,
) -> None:
    """MLflow logs a traceback of every error of its database, and raises it as well."""

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    def used() -> None:
        with open_tracking(tmp_path) as tracking, tracking.parent("a", run_id=None):
            monkeypatch.setattr(SQLiteDialect, "do_execute", full)

    with pytest.raises(RszooError, match=r"got an error: \(sqlite3.*disk is full; see MLFLOW_"):
        used()
    assert "Traceback" not in capfd.readouterr().err
    said = "(raised as a result of Query-invoked autoflush; consider)\n(sqlite3) full\n[SQL: x]"
    assert reason_of(RuntimeError(said)) == "(sqlite3) full"
    assert reason_of(RuntimeError()) == "RuntimeError"


def runs_of(out: Path) -> list[Run]:
    """Return the runs of rszoo that are not in MLflow's bin."""
    experiment = client(out).get_experiment_by_name("rszoo")
    assert experiment is not None
    return list(client(out).search_runs([experiment.experiment_id]))

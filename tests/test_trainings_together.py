"""Trainings that are started at once: one fresh store, and models that several build on."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from forks import Forks, at_once
from stores import moved_store

from rszoo._locks import exclusive, is_held
from rszoo.errors import RszooError
from rszoo.hub.bundle import open_bundle
from rszoo.training.observer import Observer
from rszoo.training.recipes.files import load_recipe
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.run import train

NAME = "digits-gaussian-0.25"


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Iterator[Path]:
    with moved_store(trained, tmp_path / "runs") as folder:
        yield folder


def recipe() -> Recipe:
    return load_recipe("gaussian").resolve(sigma=0.25, overrides=["train.epochs=2"])


# A training that begins when all are there.
TRAIN = """
import sys
from rszoo_cli import main
from stores import migrated_stores
migrated_stores()
sys.stdin.read()
main(sys.argv[1:])
"""


def test_five_trainings_at_once_on_a_fresh_machine(
    tmp_path: Path, forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them are of the same model: one trains it, the other waits and keeps it."""
    monkeypatch.chdir(tmp_path)
    trainings = ["gaussian 0.25"] * 2 + ["gaussian 0.5", "stability 0.25", "consistency 0.25"]
    arguments = ["--out", "runs", "--resume", "train.epochs=2"]
    started = []
    with at_once() as gate:
        for training in trainings:
            recipe, sigma = training.split()
            command = ["train", recipe, "--sigma", sigma, *arguments]
            started.append(forks.start("-c", TRAIN, *command, stdin=gate))
    assert [process.wait(timeout=550) for process in started] == [0] * 5
    store = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    (experiment,) = store.search_experiments(filter_string="name = 'rszoo'")
    found = store.search_runs([experiment.experiment_id])
    assert {run.info.status for run in found} == {"FINISHED"}
    tracked = sorted(r.info.run_name or "" for r in found if "recipe_digest" in r.data.params)
    names = ["consistency-0.25", "gaussian-0.25", "gaussian-0.50", "stability-0.25"]
    assert tracked == [f"digits-{name}" for name in names]
    for run in found:
        if "recipe_digest" in run.data.params:
            history = store.get_metric_history(run.info.run_id, "loss")
            assert [metric.step for metric in history] == [1, 2]
            bundle = open_bundle(tmp_path / "runs" / str(run.info.run_name))
            assert bundle.manifest.origin.mlflow_run == run.info.run_id
    versions = {m.name: len(m.latest_versions) for m in store.search_registered_models()}
    assert versions.keys() == {"digits-0.25", "digits-0.50"}
    assert len(store.search_model_versions("name = 'digits-0.25'")) == 3
    newest = store.get_model_version_by_alias("digits-0.25", "candidate")
    assert int(newest.version) == 3


class Other(Observer):
    """Another process, which holds a model's lock until somebody waits for it."""

    def __init__(self, runs: Path, *, leaves: Path | None) -> None:
        self.runs, self.leaves = runs, leaves
        self.notes: list[str] = []
        self.free, self.held = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.hold, daemon=True)
        self.thread.start()
        assert self.held.wait(60)

    def hold(self) -> None:
        lock = self.runs / ".state" / f"{NAME}.lock"
        with exclusive(lock, on_wait=lambda: None) as waited:
            assert not waited
            self.held.set()
            assert self.free.wait(60)
            if self.leaves:
                shutil.copytree(self.leaves, self.runs / NAME)

    def note(self, text: str) -> None:
        self.notes.append(text)
        if "waits" in text:
            self.free.set()


def test_what_another_process_trains_is_waited_for_and_kept(trained: Path, runs: Path) -> None:
    shutil.rmtree(runs / NAME)
    (runs / ".state" / NAME).mkdir()  # the other has begun
    other = Other(runs, leaves=trained / NAME)
    (runs / ".state" / NAME).rmdir()
    (bundle,) = train([recipe()], out=runs, observer=other)
    assert other.notes == [
        f"{NAME}: waits for another process that trains it",
        f"{runs / NAME} is finished: kept",
    ]
    assert bundle.manifest == open_bundle(trained / NAME).manifest


def test_what_another_process_has_not_finished_is_trained(trained: Path, runs: Path) -> None:
    shutil.rmtree(runs / NAME)
    (runs / ".state" / NAME).mkdir()
    other = Other(runs, leaves=None)
    (bundle,) = train([recipe()], out=runs, observer=other)
    assert other.notes[0] == f"{NAME}: waits for another process that trains it"
    assert bundle.weights_digest == open_bundle(trained / NAME).weights_digest
    assert not is_held(runs / ".state" / f"{NAME}.lock")


def test_what_another_process_trains_is_not_trained_over(runs: Path) -> None:
    other = Other(runs, leaves=None)
    try:
        with pytest.raises(RszooError) as caught:
            train([recipe()], out=runs, overwrite=True)
    finally:
        other.free.set()
        other.thread.join(60)
    assert str(caught.value) == f"{runs / NAME} is being trained by another process; wait for it"
    assert open_bundle(runs / NAME)

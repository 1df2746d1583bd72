"""Commands that read and print wait for no library that they do not need."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from stores import moved_store

import rszoo

HEAVY = "torch torchvision mlflow matplotlib sklearn pandas huggingface_hub scipy.stats".split()

BUNDLE = "builtin/digits-cat_rs-0.50"
FOLDER = Path(rszoo.__file__).parent / BUNDLE

#: Runs commands one after the other in one process; says of each what it has imported by its end.
TOLD = """
import json, sys
from rszoo_cli import main

imported = []
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as stop:
        assert not stop.code, arguments
    imported.append([name for name in {names} if name in sys.modules])
print(json.dumps(imported), file=sys.stderr)
"""


def imports_of(*commands: list[str], folder: Path) -> Any:  # noqa: ANN401
    """Return what each command, typed in `folder`, has imported of `HEAVY`."""
    done = subprocess.run(
        [sys.executable, "-c", TOLD.format(names=HEAVY), json.dumps(commands)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    return json.loads(done.stderr.splitlines()[-1])


def test_bundles_are_listed_and_shown(trained: Path) -> None:
    name = "runs/digits-gaussian-0.25"
    commands = [["ls"], ["show", name], ["show", BUNDLE, "--json"], ["ls", "--json"]]
    assert imports_of(*commands, folder=trained.parent) == [[]] * 4


def test_what_reads_a_log_needs_matplotlib_for_a_picture_and_nothing_else(tmp_path: Path) -> None:
    logs = [BUNDLE, str(FOLDER / "certificates.tsv")]
    models = [BUNDLE, "builtin/digits-dual-0.50", "builtin/digits-cascade-0.50"]
    commands = [
        *(["show", model, "--lineage"] for model in models),
        ["leaderboard"],
        ["leaderboard", "--json", "--html", "page.html"],
        *(["report", log, *options] for log in logs for options in ([], ["--json"])),
    ]
    pictures = [["report", log, "--plot", f"{i}.png"] for i, log in enumerate(logs)]
    imports = imports_of(*commands, *pictures, folder=tmp_path)
    assert imports == [[]] * len(commands) + [["matplotlib"]] * len(pictures)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "1.png", "page.html"]


def test_runs_wait_for_mlflow_and_not_for_torch(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with moved_store(trained, tmp_path / "runs") as runs:
        store = mlflow.MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")
        experiment = store.get_experiment_by_name("rszoo")
        assert experiment is not None
        ids = [run.info.run_id for run in store.search_runs([experiment.experiment_id])]
        commands = [["runs", "ls"], ["runs", "show", ids[0]], ["runs", "compare", *ids]]
        imports = imports_of(*commands, folder=tmp_path)
    assert len(ids) > 1
    assert all(set(imported) <= {"mlflow", "pandas"} for imported in imports)  # its own needs


def test_a_prediction_does_need_torch(tmp_path: Path) -> None:
    command = ["predict", "--model", BUNDLE, "--n", "10", "--json", "images.npy"]
    np.save(tmp_path / "images.npy", np.zeros((1, 8, 8)))
    assert "torch" in imports_of(command, folder=tmp_path)[0]

"""What an output folder and its MLflow store hold after trainings: each is to count once."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from _shots import Shot, left_over

__all__ = ["check_runs", "weights"]


def weights(folder: Path) -> dict[str, bytes]:
    """Return the weights of the bundles below a folder, by the bundles' paths."""
    found = folder.rglob("model.safetensors")
    return {
        str(path.parent.relative_to(folder)): path.read_bytes()
        for path in found
        if "mlartifacts" not in path.parts
    }


def check_runs(shot: Shot, out: Path, *, whole: dict[str, bytes]) -> None:
    """Compare an output folder with what an uninterrupted command makes."""
    shot.expect(weights(out) == whole, "the weights of the uninterrupted training")
    wanted = Counter({Path(name).name: 1 for name in whole})
    with closing(sqlite3.connect(out / "mlflow.db")) as store:
        runs = store.execute("SELECT name, status FROM runs WHERE lifecycle_stage = 'active'")
        statuses = [(name, status) for name, status in runs]
        versions = Counter(name for (name,) in store.execute("SELECT name FROM model_versions"))
    finished = Counter(name for name, status in statuses if status == "FINISHED")
    for name in wanted:
        shot.expect(finished[name] >= 1, f"the run of {name}")
    shot.expect(len(versions) == len(whole), "an entry of the registry for each noise level")
    shot.twice += [f"run {name}" for name in wanted if finished[name] > 1]
    shot.twice += [f"entry of {name}" for name in versions if versions[name] > 1]
    shot.twice += [f"run {name} {status}" for name, status in statuses if status == "RUNNING"]
    shot.twice += left_over(out)

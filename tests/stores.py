"""MLflow stores that tests may change."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mlflow.tracking._tracking_service import utils

__all__ = ["moved_store"]


@contextmanager
def moved_store(trained: Path, runs: Path) -> Iterator[Path]:
    """Copy an output folder with its store, whose paths are absolute."""
    shutil.copytree(trained, runs)
    columns = [
        ("experiments", "artifact_location"),
        ("runs", "artifact_uri"),
        ("logged_models", "artifact_location"),
        ("model_versions", "storage_location"),
    ]
    with closing(sqlite3.connect(runs / "mlflow.db")) as store, store:
        for table, column in columns:
            store.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                [trained.as_uri(), runs.as_uri()],
            )
        store.execute("UPDATE tags SET value = replace(value, ?, ?)", [str(trained), str(runs)])
    # MLflow remembers for each id where its artifacts lie.
    utils._artifact_repos_cache.clear()
    yield runs
    utils._artifact_repos_cache.clear()

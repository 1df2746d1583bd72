"""MLflow stores that tests may change."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mlflow.tracking._tracking_service import utils

__all__ = ["moved_store", "replace_in_store"]


@contextmanager
def moved_store(trained: Path, runs: Path) -> Iterator[Path]:
    """Copy an output folder with its store, whose paths are absolute."""
    shutil.copytree(trained, runs)
    replace_in_store(runs / "mlflow.db", str(trained), str(runs))
    # MLflow remembers for each id where its artifacts lie.
    utils._artifact_repos_cache.clear()
    yield runs
    utils._artifact_repos_cache.clear()


def replace_in_store(file: Path, before: str, after: str) -> None:
    """Replace a text wherever it stands in a store."""
    with closing(sqlite3.connect(file)) as store, store:
        tables = store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for _, column, kind, *_ in store.execute(f"PRAGMA table_info({table})").fetchall():
                if kind == "TEXT" or kind.startswith("VARCHAR"):
                    store.execute(
                        f"UPDATE {table} SET {column} = replace({column}, ?, ?) "
                        f"WHERE instr({column}, ?)",
                        [before, after, before],
                    )

"""MLflow stores without the second that making one takes, and stores that tests may change."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.store.db import utils as database
from mlflow.tracking._tracking_service import utils

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

__all__ = ["copied_stores", "make_template", "migrated_stores", "moved_store", "replace_in_store"]

_migrate = database._initialize_tables
# To find the newest of MLflow's migrations it loads them all, at every opening of a store.
database._get_latest_schema_revision = cache(database._get_latest_schema_revision)


def make_template(path: Path) -> None:
    """Make the tables of a store, as MLflow's migrations leave them, in a SQLite file."""
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{path}")
    _migrate(engine)
    engine.dispose()


@contextmanager
def copied_stores(template: Path) -> Iterator[None]:
    """Have MLflow make the tables of fresh stores by a copy."""

    def copy(engine: "Engine") -> None:
        with (
            closing(sqlite3.connect(template)) as made,
            closing(sqlite3.connect(str(engine.url.database))) as store,
        ):
            if not store.execute("SELECT * FROM sqlite_master").fetchone():
                made.backup(store)
                return
        _migrate(engine)  # some tables are missing

    database._initialize_tables = copy
    try:
        yield
    finally:
        migrated_stores()


def migrated_stores() -> None:
    """Have MLflow make the tables of fresh stores as it does."""
    database._initialize_tables = _migrate


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

"""A SQLite file as an MLflow store: made as a whole or not at all, and at home where it lies.

MLflow makes a store by dozens of migrations, one after the other: whoever is killed, or runs out
of disk, in the middle leaves a file that no MLflow opens again. And it writes down where artifacts
lie as absolute paths, which hold no more when the folder has moved.
"""

import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from rszoo._files import sync
from rszoo.errors import RszooError

__all__ = ["check_finished", "make_store", "settle"]

# Where MLflow writes down a place for artifacts.
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_PATIENCE = 60.0  # seconds; another process may be writing


def make_store(file: Path, *, artifacts: str) -> None:
    """Make an empty store, which takes its name once it is finished.

    Args:
        file: where it is going to be; nothing is there. Nobody else makes it at the same time.
        artifacts: URI of the folder for artifacts.

    Raises:
        SQLAlchemyError: it cannot be written.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for left in file.parent.glob(f".{file.name}.*.new*"):  # by one that was killed
        left.unlink()
    # Another name each time: MLflow keeps what it has opened by name.
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}.new")
    try:
        SqlAlchemyStore(f"sqlite:///{draft}", artifacts).engine.dispose()
        sync(draft)
        os.replace(draft, file)
        sync(file.parent)
    finally:
        draft.unlink(missing_ok=True)


def check_finished(file: Path) -> None:
    """Refuse a store that somebody was killed in the middle of making, by an older rszoo.

    Raises:
        RszooError: says what to do.
    """
    with closing(sqlite3.connect(file, timeout=_PATIENCE)) as store:
        tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master")}
        # The first experiment is what MLflow makes last.
        made = "experiments" in tables and store.execute("SELECT 1 FROM experiments").fetchone()
    if tables and not made:
        raise RszooError(
            f"expected an MLflow store at {str(file)!r}, got one that was not finished when it "
            "was made, and holds no runs; move it away, and the next training makes another"
        )


def settle(file: Path, *, experiment: str, artifacts: str) -> bool:
    """Have a store that was moved with its artifacts know where they are now.

    Args:
        file: the store.
        experiment: whose artifacts tell where the store was.
        artifacts: URI of the folder for artifacts, beside the store. A copy of the store alone
            does not make it move: what the artifacts are beside is where they are.

    Returns:
        Whether it had been moved, and could be changed.
    """
    with closing(sqlite3.connect(file, timeout=_PATIENCE)) as store, store:
        found = store.execute(
            "SELECT artifact_location FROM experiments WHERE name = ?", [experiment]
        ).fetchone()
        before = found[0] if found else None
        name = artifacts.rsplit("/", 1)[1]
        if before in (None, artifacts) or not str(before).endswith(f"/{name}"):
            return False
        if _is_there(before) and not _is_there(artifacts):
            return False
        for table, column in _PLACES:
            store.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                [artifacts, len(before) + 1, before, len(before) + 1, f"{before}/"],
            )
        return True


def _is_there(uri: str) -> bool:
    """Return whether a folder of this machine is there."""
    return Path(url2pathname(urlsplit(uri).path)).is_dir()

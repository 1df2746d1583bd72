"""Files that no test waits for: what is written is in them, but not sure to survive a power cut.

Processes that are killed lose nothing by it. To wait for the disk at every commit of a store, and
for every file of a bundle, takes a tenth of the tests' time.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

__all__ = ["unsynced"]

_connect = sqlite3.connect


def _connect_unsynced(*arguments: Any, **options: Any) -> sqlite3.Connection:
    database = _connect(*arguments, **options)
    with suppress(sqlite3.Error):  # no database, or a locked one: the caller is going to see it
        database.execute("PRAGMA synchronous = OFF")
    return database


@contextmanager
def unsynced() -> Iterator[None]:
    """Have `os.fsync` and SQLite wait for no disk. What cannot be synced still fails."""
    with (
        patch("os.fsync", os.fstat),
        patch("sqlite3.connect", _connect_unsynced),
        patch("sqlite3.dbapi2.connect", _connect_unsynced),
    ):
        yield

"""The MLflow store: `MLFLOW_TRACKING_URI`, else a SQLite file in the output folder."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from urllib.parse import urlsplit

from rszoo._locks import exclusive
from rszoo.errors import RszooError
from rszoo.training.interruption import uninterrupted

__all__ = ["Store", "open_store", "reason_of"]

_EXPERIMENT = "rszoo"
_SQLITE = "sqlite:///"
_SECONDS = 3.0  # after which is said what is waited for
_logger = logging.getLogger(__name__)
_PATIENCE = 600.0  # seconds; nobody needs more than a few, even on a busy machine


@dataclass(frozen=True)
class Store:
    """An open MLflow store.

    Attributes:
        uri: where it is.
        experiment_id: the experiment of rszoo's runs.
        lock_file: held by who changes what several processes may change at once.
    """

    uri: str
    experiment_id: str
    lock_file: Path

    def call(self) -> AbstractContextManager[object]:
        """Run a block that calls the store.

        A signal waits for the end of a write to a local file; for a server nobody should wait,
        and is told what is waited for.
        """
        return _calling(self.uri)

    def lock(self) -> AbstractContextManager[object]:
        """Keep other processes out for the length of a block.

        Raises:
            RszooError: another process holds the lock and does not let go.
        """
        return _locked(self.lock_file, self.uri)


@contextmanager
def open_store(folder: Path, *, make: bool = False) -> Iterator[Store | None]:
    """Open the MLflow store for the length of a block.

    Args:
        folder: where the default store (`mlflow.db`, `mlartifacts/`) lies.
        make: make the store, and rszoo's experiment in it, where there is none.

    Yields:
        The store; None where there is none, or nothing of rszoo's in it.

    Raises:
        RszooError: the store cannot be opened or used.
    """
    folder = folder.resolve()
    given = os.environ.get("MLFLOW_TRACKING_URI")
    uri = given or f"{_SQLITE}{folder / 'mlflow.db'}"
    file = Path(uri.removeprefix(_SQLITE).partition("?")[0]) if _SQLITE in uri else None
    if not make and file is not None and not file.exists():
        yield None
        return
    mlflow = _mlflow()
    from sqlalchemy.exc import SQLAlchemyError

    try:
        mlflow.set_tracking_uri(uri)
        lock = (file.parent if file else folder) / ".mlflow.lock"
        artifacts = (folder / "mlartifacts").as_uri()
        # Several processes that create one SQLite store at once break it.
        # Who may only read makes nothing, and needs no lock.
        writes = make or (file is not None and os.access(lock.parent, os.W_OK))
        with _locked(lock, uri) if writes else _calling(uri):
            if file is not None:
                _ready(file, artifacts, moves=writes and not given)
            experiment = _experiment(None if given else artifacts, make=make)
        yield Store(uri, experiment, lock) if experiment else None
    except (mlflow.MlflowException, SQLAlchemyError, sqlite3.Error) as error:
        raise RszooError(
            f"expected an MLflow store at {uri!r}, got an error: {reason_of(error)}; see "
            "MLFLOW_TRACKING_URI"
        ) from error
    finally:
        # MLflow puts the URI into the environment, where the next call would take it for given.
        mlflow.set_tracking_uri(given)  # type: ignore[arg-type]  # None is allowed


def reason_of(error: Exception) -> str:
    """Return what went wrong with a store, in a line."""
    lines = [line.strip() for line in str(error).splitlines()]
    # SQLAlchemy says first which of its own ways it took.
    told = [line for line in lines if line and not line.startswith("(raised as a result of ")]
    return told[0] if told else type(error).__name__


def _mlflow():  # noqa: ANN202 (a module)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # It prints the traceback of each error that it also raises.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return mlflow


def _experiment(artifacts: str | None, *, make: bool) -> str | None:
    """Return the id of rszoo's experiment."""
    import mlflow

    known = mlflow.get_experiment_by_name(_EXPERIMENT)
    if known is not None:
        if make and known.lifecycle_stage == "deleted":  # its name is not free
            mlflow.MlflowClient().restore_experiment(known.experiment_id)
        return known.experiment_id
    return mlflow.create_experiment(_EXPERIMENT, artifact_location=artifacts) if make else None


def _ready(file: Path, artifacts: str, *, moves: bool) -> None:
    """Make a SQLite store if there is none, or find out whether the one that is there is sound."""
    from rszoo.training.tracking.sqlite_store import check_finished, make_store, settle

    if not file.exists():
        make_store(file, artifacts=artifacts)
        return
    check_finished(file)
    if moves and os.access(file, os.W_OK):
        settle(file, experiment=_EXPERIMENT, artifacts=artifacts)


@contextmanager
def _calling(uri: str) -> Iterator[None]:
    """Hold signals back for the length of a local write; say what a server keeps waiting for.

    Beside a local store the registry may be a server's.
    """
    uris = (uri, os.environ.get("MLFLOW_REGISTRY_URI", ""))
    remote = next((one for one in uris if one.startswith("http")), None)
    if remote is None:
        with uninterrupted():
            yield
        return
    server = urlsplit(remote)
    what = f"waiting for the MLflow server at {server.scheme}://{server.hostname}:{server.port}"
    told = Timer(_SECONDS, lambda: _logger.warning("%s; Ctrl-C stops", what))
    told.daemon = True
    told.start()
    try:
        yield
    finally:
        told.cancel()


@contextmanager
def _locked(path: Path, uri: str) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(path, patience=_PATIENCE))
        except PermissionError as error:
            raise RszooError(
                f"cannot write {str(path)!r}: {error.strerror}; name a store that you may write "
                "with MLFLOW_TRACKING_URI"
            ) from error
        except TimeoutError:
            raise RszooError(
                f"expected a free lock {str(path)!r}, got one that another process has held for "
                f"{_PATIENCE:g} s; see which with: fuser {path}"
            ) from None
        with _calling(uri):
            yield

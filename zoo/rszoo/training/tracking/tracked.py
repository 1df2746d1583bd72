"""Trainings as MLflow runs: a parent run per recipe or sweep, a child run per training.

A run that is stopped by a signal ends as KILLED; one that is resumed is the same run. One that is
killed outright stays RUNNING until the next training on its machine; its tags say which process it
was.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.tracking.lost import end_lost, of_this_process
from rszoo.training.tracking.models import WEIGHTS, log_bundle
from rszoo.training.tracking.registry import register
from rszoo.training.tracking.store import Store, open_store, reason_of

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

    from rszoo.data import ImageSet

__all__ = ["BUNDLE", "TrackedRun", "Tracking", "log_data", "open_tracking"]

#: The tag of a run with the folder of its bundle.
BUNDLE = "rszoo.bundle"

_logger = logging.getLogger(__name__)

_NOTE = "mlflow.note.content"  # what MLflow's pages show as the description
_DIGEST_LENGTH = 36  # MLflow's limit for the digest of a data set


@dataclass(frozen=True)
class TrackedRun:
    """The MLflow run of one training.

    Attributes:
        store: the store that it is in.
        run_id: its id.
        logged_epochs: epochs whose metrics it has.
    """

    store: Store
    run_id: str
    logged_epochs: int = 0

    def log_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one finished epoch, unless the run has them."""
        import mlflow

        if number > self.logged_epochs:
            with self.store.call():
                mlflow.log_metrics(dict(metrics), step=number)

    def log_bundle(
        self, bundle: Bundle, metrics: Mapping[str, float], *, on_warning: Callable[[str], None]
    ) -> None:
        """Log a finished bundle as the run's one model, and register it.

        Args:
            bundle: what the training made.
            metrics: of it.
            on_warning: told why the registry did not take it, which harms nothing else.
        """
        import mlflow

        trained = bundle.manifest.origin.training
        how = {"captured": str(trained.captured).lower(), "fused": str(trained.fused).lower()}
        with self.store.call():
            log_bundle(self.store, bundle, run_id=self.run_id, metrics=metrics)
            what = {BUNDLE: str(bundle.path.resolve()), WEIGHTS: bundle.weights_digest}
            mlflow.set_tags(what | how)
        try:
            register(self.store, bundle)
        except RszooError as error:
            on_warning(f"warning: {error}")


@dataclass(frozen=True)
class Tracking:
    """An open MLflow store, for writing runs.

    Attributes:
        store: open.
        above: the run of another process that trainings are listed under; None for the parent
            run that is open here.
    """

    store: Store
    above: str | None = None

    @contextmanager
    def parent(self, name: str, *, run_id: str | None) -> Iterator[str]:
        """Run a block inside the parent run of a recipe; yield its id.

        Args:
            name: of a new run.
            run_id: an earlier run to continue, if this store has it.
        """
        import mlflow

        known = self._known(run_id)
        with self._run(name, run_id=known, nested=False) as started:
            with self.store.call():
                if known is None:
                    mlflow.set_tag(_NOTE, "One run below for each noise level.")
            yield started

    @contextmanager
    def child(
        self,
        recipe: Recipe,
        images: "Sequence[ImageSet]",
        *,
        run_id: str | None,
        tags: Mapping[str, str],
    ) -> Iterator[TrackedRun]:
        """Run a block inside the run of one training."""
        import mlflow

        known = self._known(run_id)
        with self._run(recipe.name, run_id=known, nested=True) as started:
            # Locked: MLflow looks whether a data set is there, and adds it, in two steps.
            with self.store.lock():
                if known is None:
                    mlflow.set_tags(dict(tags))
                    mlflow.log_params(
                        _flat(recipe.model_dump()) | {"recipe_digest": recipe.digest}
                    )
                    mlflow.log_text(recipe.to_yaml(), "recipe.yaml")
                    mlflow.set_tag(_NOTE, _description(recipe))
                    log_data(started, *(described(split) for split in images))
                logged = mlflow.MlflowClient().get_metric_history(started, "loss")
                done = max((metric.step for metric in logged), default=0)
            yield TrackedRun(self.store, started, done)

    @contextmanager
    def _run(self, name: str, *, run_id: str | None, nested: bool) -> Iterator[str]:
        import mlflow

        run, status = None, "FAILED"
        try:
            with self.store.call(), _no_run_of_others():
                run = mlflow.start_run(
                    run_id=run_id,
                    experiment_id=self.store.experiment_id,
                    run_name=name,
                    nested=nested,
                    parent_run_id=self.above if nested else None,
                    log_system_metrics=nested,
                )
                mlflow.set_tags(of_this_process())
            yield run.info.run_id
            status = "FINISHED"
        except (KeyboardInterrupt, SystemExit):
            status = "KILLED"
            raise
        finally:
            if run is not None:
                self._end(run.info.run_id, status)

    def _end(self, run_id: str, status: str) -> None:
        """End a run; trouble with the store does not hide why one was stopped or failed."""
        import mlflow

        with self.store.call():
            try:
                with nullcontext() if status == "FINISHED" else _briefly():
                    mlflow.end_run(status)
            except mlflow.MlflowException as error:
                if status == "FINISHED":
                    raise
                _logger.warning(
                    "MLflow was not told that run %s ended: %s", run_id, reason_of(error)
                )

    def _known(self, run_id: str | None) -> str | None:
        """Return an earlier run's id; None if it is of another store, or was deleted."""
        import mlflow

        if run_id is None:
            return None
        with self.store.call():
            try:
                run = mlflow.get_run(run_id)
            except mlflow.MlflowException:
                return None
        return None if run.info.lifecycle_stage == "deleted" else run_id


@contextmanager
def open_tracking(folder: Path, *, above: str | None = None) -> Iterator[Tracking]:
    """Open the MLflow store, made on first use, for the length of a block.

    Args:
        folder: where the default store (`mlflow.db`, `mlartifacts/`) lies.
        above: see `Tracking`.

    Raises:
        RszooError: the store cannot be opened or used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RszooError(f"cannot write {str(folder.resolve())!r}: {error.strerror}") from error
    with open_store(folder, make=True) as store:
        assert store is not None  # it was made
        end_lost(store)
        yield Tracking(store, above)


@contextmanager
def _environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Have variables of the environment for the length of a block, or have them not."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def _no_run_of_others() -> AbstractContextManager[None]:
    """Hide the run of a surrounding job, which MLflow would take for ours, and rename."""
    return _environment({"MLFLOW_RUN_ID": None})


def _briefly() -> AbstractContextManager[None]:
    """Have MLflow try once, for a few seconds: whoever stopped a run does not wait minutes."""
    return _environment(
        {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
    )


def log_data(run_id: str, *data: "DatasetInput") -> None:
    """Log which data a run has used."""
    import mlflow

    mlflow.MlflowClient().log_inputs(run_id, list(data))


def described(images: "ImageSet") -> "DatasetInput":
    """Return what MLflow is to know of a data set."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    size = {"num_rows": len(images), "num_classes": images.num_classes, "shape": images.shape}
    data = Dataset(
        name=images.name,
        digest=images.digest[:_DIGEST_LENGTH],
        source_type="code",
        source=json.dumps({"tags": {"rszoo.dataset": images.name, "sha256": images.digest}}),
        profile=json.dumps(size),
    )
    return DatasetInput(data, [InputTag("mlflow.data.context", images.split)])


def _description(recipe: Recipe) -> str:
    return (
        f"Method `{recipe.method}` on `{recipe.dataset}`, sigma {recipe.sigma:g}, profile "
        f"`{recipe.profile}`, seed {recipe.seed}. What it is made of: "
        f"`rszoo show --lineage` with the bundle in the tag `{BUNDLE}`."
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat

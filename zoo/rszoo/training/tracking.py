"""All MLflow calls: a parent run per recipe or sweep, a child run per training, its model.

The store is `MLFLOW_TRACKING_URI`, else a SQLite file in the output folder. A run that is stopped
by a signal ends as KILLED; one that is resumed is the same run.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rszoo.data import ImageSet
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.training.recipe import Recipe

__all__ = ["TrackedRun", "Tracking", "open_tracking"]

_EXPERIMENT = "rszoo"
_DIGEST_LENGTH = 36  # MLflow's limit for the digest of a data set


@dataclass(frozen=True)
class TrackedRun:
    """The MLflow run of one training.

    Attributes:
        run_id: its id.
        experiment_id: the experiment that it is in.
        logged_epochs: epochs whose metrics it has.
    """

    run_id: str
    experiment_id: str
    logged_epochs: int = 0

    def log_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one finished epoch, unless the run has them."""
        import mlflow

        if number > self.logged_epochs:
            mlflow.log_metrics(dict(metrics), step=number)

    def log_bundle(self, bundle: Bundle, metrics: Mapping[str, float]) -> None:
        """Log a finished bundle, file by file and without pickle, as the run's one model."""
        import mlflow

        config = bundle.config
        begun = mlflow.search_logged_models(
            experiment_ids=[self.experiment_id],
            filter_string=f"source_run_id = '{self.run_id}'",
            output_format="list",
        )
        model = next(iter(begun), None) or mlflow.initialize_logged_model(
            config.name.replace(".", "_"),  # MLflow refuses dots in the names of models
            source_run_id=self.run_id,
            experiment_id=self.experiment_id,
            params={"sigma": str(config.noise), "method": config.method},
            tags={"rszoo.bundle": config.name, "rszoo.weights_sha256": bundle.weights_digest},
            model_type="smoothed-classifier",
        )
        if model.status == "READY":
            return
        mlflow.MlflowClient().log_model_artifacts(model.model_id, str(bundle.path))
        mlflow.log_metrics(dict(metrics), model_id=model.model_id)
        mlflow.finalize_logged_model(model.model_id, "READY")


@dataclass(frozen=True)
class Tracking:
    """An open MLflow store.

    Attributes:
        uri: where it is.
        experiment_id: the experiment of rszoo's runs.
        above: the run of another process that trainings are listed under; None for the parent
            run that is open here.
    """

    uri: str
    experiment_id: str
    above: str | None = None

    @contextmanager
    def parent(self, name: str, *, run_id: str | None) -> Iterator[str]:
        """Run a block inside the parent run of a recipe; yield its id.

        Args:
            name: of a new run.
            run_id: an earlier run to continue, if this store has it.
        """
        with self._run(name, run_id=self._known(run_id), nested=False) as started:
            yield started

    @contextmanager
    def child(
        self,
        recipe: Recipe,
        train: ImageSet,
        *,
        run_id: str | None,
        tags: Mapping[str, str],
    ) -> Iterator[TrackedRun]:
        """Run a block inside the run of one training."""
        import mlflow

        known = self._known(run_id)
        with self._run(recipe.name, run_id=known, nested=True) as started:
            if known is None:
                mlflow.set_tags(dict(tags))
                mlflow.log_params(_flat(recipe.model_dump()) | {"recipe_digest": recipe.digest})
                mlflow.log_text(recipe.to_yaml(), "recipe.yaml")
                _log_data(train)
            logged = mlflow.MlflowClient().get_metric_history(started, "loss")
            yield TrackedRun(
                started, self.experiment_id, max((metric.step for metric in logged), default=0)
            )

    @contextmanager
    def _run(self, name: str, *, run_id: str | None, nested: bool) -> Iterator[str]:
        import mlflow

        run = mlflow.start_run(
            run_id=run_id,
            experiment_id=self.experiment_id,
            run_name=name,
            nested=nested,
            parent_run_id=self.above if nested else None,
            log_system_metrics=nested,
        )
        status = "FAILED"
        try:
            yield run.info.run_id
            status = "FINISHED"
        except (KeyboardInterrupt, SystemExit):
            status = "KILLED"
            raise
        finally:
            mlflow.end_run(status)

    def _known(self, run_id: str | None) -> str | None:
        import mlflow

        if run_id is None:
            return None
        try:
            mlflow.get_run(run_id)
        except mlflow.MlflowException:
            return None  # another store than the one the run was started in
        return run_id


@contextmanager
def open_tracking(folder: Path, *, above: str | None = None) -> Iterator[Tracking]:
    """Open the MLflow store, made on first use, for the length of a block.

    Args:
        folder: where the default store (`mlflow.db`, `mlartifacts/`) lies.
        above: see `Tracking`.

    Raises:
        RszooError: the store cannot be opened.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    import logging

    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    folder = folder.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RszooError(f"cannot write {str(folder)!r}: {error.strerror}") from error
    given = os.environ.get("MLFLOW_TRACKING_URI")
    uri = given or f"sqlite:///{folder / 'mlflow.db'}"
    try:
        mlflow.set_tracking_uri(uri)
        artifacts = None if given else (folder / "mlartifacts").as_uri()
        store = Path(uri.removeprefix("sqlite:///")).parent if "sqlite:///" in uri else folder
        yield Tracking(uri, _experiment(store / ".mlflow.lock", artifacts), above)
    finally:
        # MLflow puts the URI into the environment, where the next call would take it for given.
        mlflow.set_tracking_uri(given)  # type: ignore[arg-type]  # None is allowed


def _experiment(lock: Path, artifacts: str | None) -> str:
    """Return the id of rszoo's experiment, made on first use."""
    import mlflow
    from filelock import FileLock

    # Several processes that create one SQLite store at once break it.
    with FileLock(lock):
        try:
            known = mlflow.get_experiment_by_name(_EXPERIMENT)
            if known is not None:
                return known.experiment_id
            return mlflow.create_experiment(_EXPERIMENT, artifact_location=artifacts)
        except mlflow.MlflowException as error:
            raise RszooError(
                f"expected an MLflow store at {mlflow.get_tracking_uri()!r}, got an error: "
                f"{error}; see MLFLOW_TRACKING_URI"
            ) from error


def _log_data(images: ImageSet) -> None:
    import mlflow
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    source = CodeDatasetSource(tags={"rszoo.dataset": images.name, "sha256": images.digest})
    data = MetaDataset(source=source, name=images.name, digest=images.digest[:_DIGEST_LENGTH])
    mlflow.log_input(data, context=images.split)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat

"""All MLflow calls: one parent run per recipe, one child run per sigma, the bundle as a model.

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
    """

    run_id: str

    def log_epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one finished epoch."""
        import mlflow

        mlflow.log_metrics(dict(metrics), step=number)

    def log_bundle(self, bundle: Bundle, metrics: Mapping[str, float]) -> None:
        """Log a finished bundle, file by file and without pickle, as an MLflow model."""
        import mlflow

        config = bundle.config
        model = mlflow.initialize_logged_model(
            config.name.replace(".", "_"),  # MLflow refuses dots in the names of models
            params={"sigma": str(config.sigma), "method": config.method},
            tags={"rszoo.bundle": config.name, "rszoo.weights_sha256": bundle.weights_digest},
            model_type="smoothed-classifier",
        )
        mlflow.MlflowClient().log_model_artifacts(model.model_id, str(bundle.path))
        mlflow.finalize_logged_model(model.model_id, "READY")
        mlflow.log_metrics(dict(metrics), model_id=model.model_id)


@dataclass(frozen=True)
class Tracking:
    """An open MLflow store.

    Attributes:
        uri: where it is.
    """

    uri: str

    @contextmanager
    def parent(self, name: str, *, run_id: str | None) -> Iterator[str]:
        """Run a block inside the parent run of a recipe; yield its id.

        Args:
            name: of a new run.
            run_id: an earlier run to continue, if this store has it.
        """
        with _run(name, run_id=self._known(run_id), nested=False) as started:
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
        with _run(recipe.name, run_id=known, nested=True) as started:
            if known is None:
                mlflow.set_tags(dict(tags))
                mlflow.log_params(_flat(recipe.model_dump()) | {"recipe_digest": recipe.digest})
                mlflow.log_text(recipe.to_yaml(), "recipe.yaml")
                _log_data(train)
            yield TrackedRun(started)

    def _known(self, run_id: str | None) -> str | None:
        import mlflow

        if run_id is None:
            return None
        try:
            mlflow.get_run(run_id)
        except mlflow.MlflowException:
            return None  # another store than the one the run was started in
        return run_id


def open_tracking(folder: Path) -> Tracking:
    """Open the MLflow store, and make it on first use.

    Args:
        folder: where the default store (`mlflow.db`, `mlartifacts/`) lies.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    import logging

    import mlflow
    from filelock import FileLock

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    given = os.environ.get("MLFLOW_TRACKING_URI")
    uri = given or f"sqlite:///{folder / 'mlflow.db'}"
    # Several processes that create one SQLite store at once break it.
    with FileLock(folder / ".mlflow.lock"):
        mlflow.set_tracking_uri(uri)
        if mlflow.get_experiment_by_name(_EXPERIMENT) is None:
            artifacts = None if given else (folder / "mlartifacts").as_uri()
            mlflow.create_experiment(_EXPERIMENT, artifact_location=artifacts)
        mlflow.set_experiment(_EXPERIMENT)
    return Tracking(uri)


@contextmanager
def _run(name: str, *, run_id: str | None, nested: bool) -> Iterator[str]:
    import mlflow

    run = mlflow.start_run(run_id=run_id, run_name=name, nested=nested, log_system_metrics=nested)
    status = "FAILED"
    try:
        yield run.info.run_id
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        raise
    finally:
        mlflow.end_run(status)


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

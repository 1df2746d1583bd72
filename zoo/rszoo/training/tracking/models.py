"""Bundles as MLflow's logged models: their own files, and never a pickle."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rszoo.hub.bundle import Bundle
from rszoo.training.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel

__all__ = ["WEIGHTS", "find_model", "log_bundle", "logged_model"]

#: The tag with the digest of a bundle's weights, on models and their versions.
WEIGHTS = "rszoo.weights_sha256"


def log_bundle(store: Store, bundle: Bundle, *, run_id: str, metrics: Mapping[str, float]) -> None:
    """Log a finished bundle as its run's one model."""
    import mlflow

    begun = _search(store, f"source_run_id = '{run_id}'")
    model = next(iter(begun), None) or _begin(store, bundle, run_id)
    if model.status != "READY":
        mlflow.log_metrics(dict(metrics), run_id=run_id, model_id=model.model_id)
        _finish(model, bundle)


def logged_model(store: Store, bundle: Bundle) -> "LoggedModel":
    """Return the model of a bundle; one that no run has made is logged now."""
    known = find_model(store, bundle)
    if known is not None:
        return known
    model = _begin(store, bundle, None)
    _finish(model, bundle)
    return model


def find_model(store: Store, bundle: Bundle) -> "LoggedModel | None":
    """Return the newest finished model with the weights of a bundle."""
    same = _search(store, f"tags.`{WEIGHTS}` = '{bundle.weights_digest}'")
    return next((model for model in same if model.status == "READY"), None)


def _search(store: Store, wanted: str) -> "list[LoggedModel]":
    """Return the models that a filter finds, the newest first."""
    import mlflow

    return mlflow.search_logged_models(
        experiment_ids=[store.experiment_id], filter_string=wanted, output_format="list"
    )


def _begin(store: Store, bundle: Bundle, run_id: str | None) -> "LoggedModel":
    import mlflow

    config = bundle.config
    return mlflow.initialize_logged_model(
        config.name.replace(".", "_"),  # MLflow refuses dots in the names of models
        source_run_id=run_id,
        experiment_id=store.experiment_id,
        params={"sigma": str(config.noise), "method": config.method},
        tags={"rszoo.bundle": config.name, WEIGHTS: bundle.weights_digest},
        model_type="smoothed-classifier",
    )


def _finish(model: "LoggedModel", bundle: Bundle) -> None:
    import mlflow

    mlflow.MlflowClient().log_model_artifacts(model.model_id, str(bundle.path))
    mlflow.finalize_logged_model(model.model_id, "READY")

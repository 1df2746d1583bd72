"""What MLflow is told of certificates: metrics and files of the run, and the registry."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rszoo.certificates.kind import ONE_SIDED
from rszoo.errors import RszooError
from rszoo.evaluation.metrics import Summary, summary
from rszoo.hub.bundle import Bundle
from rszoo.hub.evidence import evidence_of
from rszoo.hub.files import EVIDENCE, PROTOCOL
from rszoo.theory.rounding import as_radius
from rszoo.training.tracking.models import find_model
from rszoo.training.tracking.registry import Registration, register
from rszoo.training.tracking.store import Store, open_store

if TYPE_CHECKING:
    from mlflow.entities import Metric

__all__ = ["ACR", "record_certificates", "store_folder"]

_METRICS = "certified"
#: The metric of a run whose model is certified, by the published bound.
ACR = f"{_METRICS}/acr"
#: The tag with the protocol that the metrics hold for.
CERTIFIED = "rszoo.certified"
_FOLDER = "certificates"


def store_folder(bundle: Bundle, *, runs: Path = Path("runs")) -> Path:
    """Return where the default store of a bundle's run lies: beside it.

    Args:
        bundle: any.
        runs: for one that is not in a folder of the user's.
    """
    from rszoo.hub.catalog import is_own

    return bundle.path.resolve().parent if is_own(bundle) else runs


def record_certificates(bundle: Bundle) -> Registration | None:
    """Tell the MLflow store beside a bundle, or the given one, of the bundle's certificates.

    Its run gets the metrics, the log and a picture, its model the files as they are now, and the
    registry settles who is the champion.

    Args:
        bundle: certified.

    Returns:
        Its entry in the registry; None where there is no store of rszoo's, or for what is only
        part of a model.

    Raises:
        RszooError: the store cannot be used. The bundle is as it was.
    """
    try:
        with open_store(store_folder(bundle)) as store:
            if store is None or bundle.evidence is None:
                return None
            _record(store, bundle)
            return register(store, bundle)
    except OSError as error:
        raise RszooError(
            f"MLflow was not told of the certificates of {bundle.id}: {error}"
        ) from error


def _record(store: Store, bundle: Bundle) -> None:
    from mlflow import MlflowClient

    client, model = MlflowClient(), find_model(store, bundle)
    if model is None:
        return
    client.log_model_artifacts(model.model_id, str(bundle.path))
    if model.source_run_id is None:
        return
    log = evidence_of(bundle)
    known = summary(log)
    client.log_batch(model.source_run_id, metrics=list(_metrics(known, model.model_id)))
    protocol = f"{known.images} images, n = {known.n}, alpha = {known.alpha}"
    if known.bound != ONE_SIDED:
        protocol += f", {known.bound} bound"
    client.set_tag(model.source_run_id, CERTIFIED, protocol)
    with tempfile.TemporaryDirectory() as folder:
        from rszoo.evaluation.plot import curve

        curve([log], Path(folder) / "curve.png")
        client.log_artifacts(model.source_run_id, folder, _FOLDER)
    for name in (EVIDENCE, PROTOCOL):
        client.log_artifact(model.source_run_id, str(bundle.path / name), _FOLDER)


def _metrics(known: Summary, model_id: str) -> "Iterator[Metric]":
    from mlflow.entities import Metric

    # Runs are compared by the names of their metrics: another bound has names of its own.
    prefix = _METRICS if known.bound == ONE_SIDED else f"{_METRICS}/{known.bound}"
    values = {f"{prefix}/acr": known.acr, f"{prefix}/abstained": known.abstained}
    for radius, share in known.by_radius().items():
        values[f"{prefix}/accuracy_at_{as_radius(radius)}"] = share
    now = int(time.time() * 1000)
    for key, value in values.items():
        yield Metric(key, value, now, 0, model_id=model_id)

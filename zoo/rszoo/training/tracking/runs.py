"""Reading the MLflow store: which trainings it has, and everything about one run.

What a store says may come from anybody: texts are made printable here.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rszoo.errors import RszooError
from rszoo.evaluation.log import printable
from rszoo.hub.bundle import open_bundle
from rszoo.training.tracking.lost import LOST, status_of
from rszoo.training.tracking.models import WEIGHTS
from rszoo.training.tracking.recording import ACR
from rszoo.training.tracking.store import Store
from rszoo.training.tracking.tracked import BUNDLE

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = [
    "STATUSES",
    "Training",
    "bundle_of",
    "environment_of",
    "find_run",
    "metrics_of",
    "runs_in",
    "training_of",
]

#: MLflow's, and LOST for a run whose process is gone without having ended it.
STATUSES = ("RUNNING", "FINISHED", "FAILED", "KILLED", LOST, "SCHEDULED")
_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class Training:
    """A run that trained a model; what it does not say is None.

    Attributes:
        id, name: of the run.
        status: one of `STATUSES`.
        dataset, method, sigma: of the recipe.
        accuracy: under noise, on the test images, after the last epoch that ended.
        acr: average certified radius, if the bundle is certified.
        started: seconds since 1970.
        seconds: from the first start to the end, or to now while it runs.
        bundle: the folder that it wrote, which may have changed since.
    """

    id: str
    name: str
    status: str
    dataset: str | None
    method: str | None
    sigma: float | None
    accuracy: float | None
    acr: float | None
    started: float
    seconds: float | None
    bundle: str | None


def runs_in(store: Store) -> "list[Run]":
    """Return the runs of rszoo's experiment, the newest first, and those of others in it."""
    from mlflow import MlflowClient

    client, found, token = MlflowClient(), [], None
    while True:
        page = client.search_runs(
            [store.experiment_id],
            max_results=_PAGE,
            order_by=["attributes.start_time DESC"],
            page_token=token,
        )
        found += page
        token = page.token
        if not token:
            return found


def training_of(run: "Run") -> Training | None:
    """Return what a run trained; None for one that trained nothing, or is another program's."""
    params, tags, metrics = run.data.params, run.data.tags, run.data.metrics
    if "recipe_digest" not in params:
        return None
    status, end = status_of(run), run.info.end_time
    start = (run.info.start_time or 0) / 1000
    until = end / 1000 if end else time.time() if status == "RUNNING" else None
    return Training(
        id=run.info.run_id,
        name=printable(run.info.run_name or ""),
        status=status,
        dataset=_text(params.get("dataset")),
        method=_text(params.get("method")),
        sigma=_number(params.get("sigma")),
        accuracy=metrics.get("noisy_accuracy"),
        acr=metrics.get(ACR),
        started=start,
        seconds=None if until is None else max(0.0, until - start),
        bundle=_text(tags.get(BUNDLE)),
    )


def find_run(store: Store, wanted: str) -> "Run":
    """Return the run with an id, or the only one of the experiment whose id begins so.

    Raises:
        RszooError: there is none, or there are several.
    """
    found = [run for run in runs_in(store) if wanted and run.info.run_id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    several = f"that of {len(found)}: {', '.join(run.info.run_id for run in found[:5])}"
    raise RszooError(
        f"expected the id of a run in {store.uri}, or characters that only one begins with, got "
        f"{printable(wanted)!r}, {several if found else 'of none'}; rszoo runs ls lists the "
        "trainings"
    )


def bundle_of(run: "Run", folder: Path) -> dict[str, str] | None:
    """Return where the bundle of a run lies, and whether it is still the run's.

    Args:
        run: any.
        folder: the output folder, where it is looked for if it has moved with its store.

    Returns:
        Its `path`, and as `state` "there" or what has become of it; None for a run that has none.
    """
    tags = run.data.tags
    if BUNDLE not in tags:
        return None
    told = Path(tags[BUNDLE])
    path = told if told.is_dir() else folder / told.name
    try:
        same = open_bundle(path).weights_digest == tags.get(WEIGHTS)
        state = "there" if same else "trained again since"
    except RszooError as error:
        state = printable(str(error)) if path.is_dir() else "not there"
    return {"path": printable(str(path if path.is_dir() else told)), "state": state}


def metrics_of(run: "Run") -> dict[str, float]:
    """Return the last value of each metric but those of the machine."""
    found = run.data.metrics.items()
    return {printable(key): value for key, value in sorted(found) if not key.startswith("system/")}


def environment_of(run: "Run") -> dict[str, str]:
    """Return the tags of a run, without those that MLflow keeps for itself."""
    found = run.data.tags.items()
    return printed({key: value for key, value in found if not key.startswith("mlflow.")})


def printed(values: Mapping[str, Any]) -> dict[str, str]:
    """Return keys and values as printable texts, by key."""
    return {printable(key): printable(str(value)) for key, value in sorted(values.items())}


def _text(value: str | None) -> str | None:
    return None if value is None else printable(value)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None

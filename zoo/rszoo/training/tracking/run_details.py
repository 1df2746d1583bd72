"""One run of the MLflow store in full, and several side by side."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rszoo.evaluation.log import printable
from rszoo.training.tracking.lost import status_of
from rszoo.training.tracking.runs import (
    bundle_of,
    environment_of,
    metrics_of,
    printed,
    training_of,
)
from rszoo.training.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["comparison", "details"]


def details(store: Store, run: "Run", folder: Path) -> dict[str, Any]:
    """Return everything that a store knows of a run.

    Args:
        store: open.
        run: of it.
        folder: the output folder; see `bundle_of`.
    """
    training = training_of(run)
    return {
        "id": run.info.run_id,
        "name": printable(run.info.run_name or ""),
        "status": status_of(run),
        "seconds": training.seconds if training else None,
        "store": store.uri,
        "parent": run.data.tags.get("mlflow.parentRunId"),
        "bundle": bundle_of(run, folder),
        "params": printed(run.data.params),
        "metrics": metrics_of(run),
        "tags": environment_of(run),
        "data": _data(run),
        "artifacts": _artifacts(run.info.run_id),
    }


def comparison(runs: "Sequence[Run]") -> dict[str, Any]:
    """Return in what runs differ, and their metrics.

    Args:
        runs: two or more.

    Returns:
        `runs`: id, name and status of each; `differ`: for each parameter, tag and data set that
        is not the same in all, the values, None where a run has none; `metrics`: for each, the
        last `values`, and of each the `difference` from the first run's and the `ratio` to it.
    """
    given = [_given(run) for run in runs]
    values = [metrics_of(run) for run in runs]
    return {
        "runs": [
            {
                "id": run.info.run_id,
                "name": printable(run.info.run_name or ""),
                "status": status_of(run),
            }
            for run in runs
        ],
        "differ": {key: row for key, row in _side_by_side(given).items() if len(set(row)) > 1},
        "metrics": {key: _against_first(row) for key, row in _side_by_side(values).items()},
    }


def _given(run: "Run") -> dict[str, str]:
    """Return what a run was given: parameters, data, and what it ran on."""
    data = {
        f"data ({entry['used']})": f"{entry['name']} {entry['digest']}" for entry in _data(run)
    }
    environment = {k: v for k, v in environment_of(run).items() if not k.startswith("rszoo.")}
    return {**printed(run.data.params), **data, **environment}


def _side_by_side(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the values of every key in each row, None where it has none."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: [row.get(key) for row in rows] for key in keys}


def _against_first(values: Sequence[float | None]) -> dict[str, list[float | None]]:
    first = values[0]
    return {
        "values": [None if v is None or not math.isfinite(v) else v for v in values],
        "difference": [_finite(lambda v: v - first, v, first) for v in values],
        "ratio": [_finite(lambda v: v / first, v, first) for v in values],
    }


def _finite(of: Any, value: float | None, first: float | None) -> float | None:  # noqa: ANN401
    if value is None or first is None:
        return None
    try:
        result = of(value)
    except ZeroDivisionError:
        return None
    return result if math.isfinite(result) else None


def _data(run: "Run") -> list[dict[str, str]]:
    found = run.inputs.dataset_inputs if run.inputs else []
    return [
        {
            "name": printable(entry.dataset.name),
            "digest": printable(entry.dataset.digest),
            "used": printable(
                next((t.value for t in entry.tags if t.key == "mlflow.data.context"), "-")
            ),
        }
        for entry in found
    ]


def _artifacts(run_id: str) -> list[dict[str, Any]]:
    """Return the files of a run, path and size; none where their folder is gone."""
    from mlflow import MlflowClient

    client, folders, files = MlflowClient(), [""], []
    while folders:
        for entry in client.list_artifacts(run_id, folders.pop()):
            if entry.is_dir:
                folders.append(entry.path)
            else:
                files.append({"path": printable(entry.path), "bytes": entry.file_size})
    return sorted(files, key=lambda file: file["path"])

"""Runs whose process is gone without having ended them: killed outright, or with its machine."""

import os
import socket
from typing import TYPE_CHECKING

from rszoo.training.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["HOST", "LOST", "PROCESS", "end_lost", "of_this_process", "status_of"]

#: Tags of a run: the machine and process that writes it.
HOST, PROCESS = "rszoo.host", "rszoo.process"
#: In place of MLflow's RUNNING.
LOST = "LOST"


def of_this_process() -> dict[str, str]:
    """Return the tags that say which process writes a run."""
    return {HOST: socket.gethostname(), PROCESS: str(os.getpid())}


def status_of(run: "Run") -> str:
    """Return the status of a run; LOST for one whose process, on this machine, is gone."""
    status, tags = run.info.status, run.data.tags
    here = tags.get(HOST) == socket.gethostname()
    if status == "RUNNING" and here and not _is_alive(tags.get(PROCESS, "")):
        return LOST
    return status


def end_lost(store: Store) -> None:
    """Tell the store that runs which were lost on this machine have ended, as killed."""
    from mlflow import MlflowClient

    client = MlflowClient()
    with store.call():
        running = client.search_runs(
            [store.experiment_id], "attributes.status = 'RUNNING'", max_results=1000
        )
        for run in running:
            if status_of(run) == LOST:
                client.set_terminated(run.info.run_id, status="KILLED")


def _is_alive(process: str) -> bool:
    """Return whether a process runs; one that cannot be asked for does."""
    if not process.isdecimal() or not 0 < int(process) < 2**31:
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True

"""A sweep from recipes to bundles: what is finished is kept, what is not is continued.

Next to the bundles, in `.state`, lie the log of every training and what a sweep that is started
again must know.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from rszoo import data
from rszoo._files import remove, write_json_atomically
from rszoo._locks import exclusive
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.writing import check_outside_bundles
from rszoo.networks.execution import resolve_precision
from rszoo.training.interruption import terminable
from rszoo.training.output import STATE, read_run
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.sweep.engines import (
    Order,
    Submit,
    devices_of,
    local_processes,
    on_ray,
    slots_of,
    threads_of,
)
from rszoo.training.sweep.plan import Job, already_there, planned
from rszoo.training.sweep.progress import Progress, read_progress
from rszoo.training.tracking.tracked import Tracking, open_tracking

__all__ = ["Engine", "Outcome", "SweepObserver", "sweep"]

# Seconds between two looks at how far the trainings are.
_PAUSE = 0.25


@dataclass(frozen=True)
class Engine:
    """Where the trainings of a sweep run.

    Attributes:
        name: "local" or "ray".
        address: of the Ray cluster; None starts one on this machine.
        device: None takes GPUs where there are any; "cuda:0,cuda:1" takes these.
        processes: how many at once, "local" only; None: one per GPU, or per core.
    """

    name: Literal["local", "ray"] = "local"
    address: str | None = None
    device: str | None = None
    processes: int | None = None


@dataclass(frozen=True)
class Outcome:
    """The outcome of one training of a sweep.

    Attributes:
        job: the training.
        status: "kept" was finished before, "not begun" lacks a bundle whose training failed.
        bundle: None where there is none.
        problem: what went wrong, in a line; None if nothing did.
    """

    job: Job
    status: Literal["kept", "finished", "failed", "not begun"]
    bundle: Bundle | None = None
    problem: str | None = None


class SweepObserver:
    """An observer of a sweep, which is called as it progresses; a subclass shows it."""

    def began(self, *, total: int, kept: int) -> None:
        """The trainings are known, and how many of them were finished before."""

    def progressed(self, running: Mapping[Job, Progress]) -> None:
        """These trainings run, and are so far."""

    def ended(self, outcome: Outcome) -> None:
        """A training came to an end."""

    def closed(self) -> None:
        """The sweep ended, or was stopped."""


def sweep(
    recipes: Sequence[Recipe],
    *,
    out: Path,
    engine: Engine = Engine(),
    data_root: Path | None = None,
    download: bool = False,
    precision: str = "auto",
    capture: bool = True,
    fused: bool | None = None,
    observer: SweepObserver | None = None,
) -> list[Outcome]:
    """Train many models at once, each in a process of its own, under one MLflow run.

    Everything that can be known beforehand is checked before the first process starts. A training
    that fails does not stop the others; those that build on it are not begun.

    Args:
        recipes: resolved recipes for one data set; each with its seed.
        out: the folder of the sweep: bundles lie in `seed-0`, `seed-1`, ..., by their seeds.
        engine: where the trainings run.
        data_root, download, precision, capture, fused: as in `rszoo.training.run.train`.
        observer: shown the progress.

    Returns:
        One outcome per training, those that others build on included.

    Raises:
        RszooError: names clash, something else is in the way, another sweep is at work in the
            folder, or the device, precision or data cannot be used.
    """
    check_outside_bundles(out / STATE)
    jobs = planned(recipes, out=out)
    observer = observer or SweepObserver()
    devices = devices_of(engine.device) if engine.name == "local" else []
    outcomes = _checked(jobs, devices, data_root=data_root, download=download, precision=precision)
    kept = {one.job for one in outcomes}
    todo = [job for job in jobs if job not in kept]
    with ExitStack() as stack:
        observer.began(total=len(jobs), kept=len(kept))
        stack.callback(observer.closed)
        stack.enter_context(terminable())
        # Also where nothing is left to do: a sweep may have been killed after its last training.
        tracking = stack.enter_context(open_tracking(out))
        if not todo:
            return outcomes
        stack.enter_context(_locked(out))
        parent = stack.enter_context(_parent_run(tracking, out, jobs))
        submit, environment = stack.enter_context(_processes(engine, devices, jobs=len(todo)))
        common = {
            "parent_run": parent,
            "data_root": None if data_root is None else str(data_root.resolve()),
            "precision": precision,
            "capture": capture,
            "fused": fused,
            "environment": {**environment, "MLFLOW_TRACKING_URI": tracking.store.uri},
        }
        outcomes += _carried_out(todo, submit, common, observer)
    return outcomes


def _checked(
    jobs: Sequence[Job],
    devices: Sequence[str],
    *,
    data_root: Path | None,
    download: bool,
    precision: str,
) -> list[Outcome]:
    """Look for all that could be in the way; return what is finished."""
    (dataset, *others) = dict.fromkeys(job.recipe.dataset for job in jobs)
    if others:
        raise RszooError(f"expected recipes of one data set, got {[dataset, *others]}")
    images = data.load(dataset, "train", root=data_root, download=download)
    data.load(dataset, "test", root=data_root, download=download)
    resolve_precision(precision, torch.device(devices[0] if devices else "cpu"))
    finished = already_there(jobs, data=images.digest)
    return [Outcome(job, "kept", finished[job.path]) for job in jobs if job.path in finished]


@contextmanager
def _processes(
    engine: Engine, devices: Sequence[str], *, jobs: int
) -> Iterator[tuple[Submit, dict[str, str]]]:
    """Give what runs orders, and what the processes need in their environment."""
    if engine.name == "ray":
        with on_ray(engine.address, engine.device) as submit:
            yield submit, {}
        return
    slots = slots_of(devices, processes=engine.processes, jobs=jobs)
    with local_processes(slots) as submit:
        yield submit, {"OMP_NUM_THREADS": str(threads_of(len(slots)))}


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Keep a second sweep out of a folder."""
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(out / STATE / "sweep.lock", patience=0))
        except TimeoutError as error:
            raise RszooError(
                f"another sweep is at work in {str(out)!r}; wait for it, or choose another --out"
            ) from error
        yield


@contextmanager
def _parent_run(tracking: Tracking, out: Path, jobs: Sequence[Job]) -> Iterator[str]:
    """Open the run above all trainings: that of the same sweep if it was begun before."""
    memory = out / STATE / "sweep.json"
    identity = {str(job.path.relative_to(out)): job.recipe.digest for job in jobs}
    asked = [job.recipe for job in jobs if job.asked]
    name = f"sweep {', '.join(dict.fromkeys(recipe.method for recipe in asked))}"
    with tracking.parent(name, run_id=read_run(memory, identity)) as run_id:
        write_json_atomically(memory, {"run_id": run_id, "facts": identity})
        yield run_id


def _carried_out(
    todo: Sequence[Job], submit: Submit, common: Order, observer: SweepObserver
) -> Iterator[Outcome]:
    """Yield what comes of each training; it is begun when those that it needs are finished."""
    waiting = {job.path: job for job in todo}
    lost: set[Path] = set()
    running: dict[Future[int], Job] = {}

    def done(outcome: Outcome) -> Outcome:
        if outcome.bundle is None:
            lost.add(outcome.job.path)
        observer.ended(outcome)
        return outcome

    while waiting or running:
        open_paths = waiting.keys() | {job.path for job in running.values()}
        for job in list(waiting.values()):
            if missing := [path.name for path in job.needs if path in lost]:
                del waiting[job.path]
                yield done(Outcome(job, "not begun", problem=f"{missing[0]} is missing"))
            elif open_paths.isdisjoint(job.needs):
                del waiting[job.path]
                remove(job.progress)
                running[submit(_order(job, common))] = job
        for future in wait(running, timeout=_PAUSE, return_when=FIRST_COMPLETED).done:
            yield done(_outcome(running.pop(future), future))
        progress = {job: read_progress(job.progress) for job in running.values()}
        observer.progressed({job: now for job, now in progress.items() if now is not None})


def _order(job: Job, common: Order) -> Order:
    files = {"out": job.out, "log": job.log, "progress": job.progress}
    paths = {name: str(path.resolve()) for name, path in files.items()}
    return {**common, **paths, "recipe": job.recipe.to_yaml()}


def _outcome(job: Job, ended: "Future[int]") -> Outcome:
    remove(job.progress)
    if (error := ended.exception()) is not None:  # it could not be started, or its engine failed
        return Outcome(job, "failed", problem=f"{type(error).__name__}: {error}")
    code = ended.result()
    if code == 0:
        return Outcome(job, "finished", open_bundle(job.path))
    told = job.log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
    how = f"exit code {code}" if code > 0 else f"killed by signal {-code}"
    return Outcome(job, "failed", problem=f"{how}: {told[-1].removeprefix('error: ')}")

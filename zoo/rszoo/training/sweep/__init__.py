"""Sweeps: many trainings at once, each in a process of its own, under one MLflow run."""

from rszoo.training.sweep.plan import Job, planned
from rszoo.training.sweep.run import Engine, Outcome, SweepObserver, sweep
from rszoo.training.sweep.summary import Spread, SummaryRow, summarized

__all__ = [
    "Engine",
    "Job",
    "Outcome",
    "Spread",
    "SummaryRow",
    "SweepObserver",
    "planned",
    "summarized",
    "sweep",
]

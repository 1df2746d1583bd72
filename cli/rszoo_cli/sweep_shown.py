"""What `rszoo sweep` shows: bars while it works, lines when piped, a table or JSON at the end."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.progress import TaskID, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from rszoo.evaluation.formatting import as_duration, expected
from rszoo.evaluation.progress_bar import bars, fitting
from rszoo.theory.rounding import as_acr, as_error, as_share, as_share_at_most, as_stated
from rszoo.training.sweep import Job, Outcome, Spread, SummaryRow, SweepObserver, summarized
from rszoo.training.sweep.progress import Progress as Report
from rszoo_cli.console import err, out

__all__ = ["Shown", "show_outcomes"]

_Written = Callable[[float], str]

# Seconds by which the rate of each running training is measured; shorter work is not announced.
_MEASURED = 2.0
_LONG = 10.0


class Shown(SweepObserver):
    """Draws a bar for the sweep, and one for every training that runs, on stderr."""

    def __init__(self) -> None:
        self.bars = bars(err, TimeElapsedColumn(), TimeRemainingColumn(compact=True))
        self.rows: dict[Job, TaskID] = {}
        self._first: dict[Job, tuple[float, Report]] = {}
        self._told = False

    def began(self, *, total: int, kept: int) -> None:
        if kept:
            self._say(f"{kept} of {total} trainings are finished: kept")
        self.total, self.done = total, kept
        self.all = self.bars.add_task("sweep", total=total, completed=kept, status="")
        self.bars.start()

    def progressed(self, running: Mapping[Job, Report]) -> None:
        for job, now in running.items():
            if job not in self.rows:
                name = fitting(job.label, err)
                self.rows[job] = self.bars.add_task(name, total=now.total, status="")
            status = now.status if now.task == job.recipe.name else now.task
            self.bars.update(self.rows[job], total=now.total, completed=now.done, status=status)

        if running and not self._told:
            self._tell(running)

    def _tell(self, running: Mapping[Job, Report]) -> None:
        """Say what the sweep takes, once the rate of each training that runs is known."""
        now = time.monotonic()
        rate = 0.0
        for job, report in running.items():
            since, first = self._first.get(job, (now, report))
            if first.task != report.task:  # it has begun something else
                since, first = now, report
            self._first[job] = since, first
            if now - since < _MEASURED:
                return
            rate += (report.done - first.done) / (now - since)
        if not rate:
            return
        self._told = True
        each = sum(report.total for report in running.values()) / len(running)
        seconds = each * (self.total - self.done) / rate
        if seconds >= _LONG:
            work = f"sweep: {self.total - self.done} trainings of about {each:,.0f} steps each"
            self._say(expected(work, "steps", rate=rate, seconds=seconds))

    def ended(self, outcome: Outcome) -> None:
        self.done += 1
        self.bars.update(self.all, completed=self.done)
        if outcome.job in self.rows:
            self.bars.remove_task(self.rows.pop(outcome.job))
        self._say(f"{self.done} of {self.total}: {outcome.job.label}: {_came_to(outcome)}")

    def closed(self) -> None:
        self.bars.stop()

    def _say(self, text: str) -> None:
        err.print(text, markup=False, highlight=False, soft_wrap=True)


def _came_to(outcome: Outcome) -> str:
    if outcome.bundle is None:
        return f"{outcome.status}: {outcome.problem}"
    record = outcome.bundle.manifest.origin.training
    if record.noisy_accuracy is None or record.seconds is None:
        return outcome.status
    accuracy = as_share(record.noisy_accuracy)
    return f"{outcome.status}, accuracy under noise {accuracy} %, {as_duration(record.seconds)}"


def show_outcomes(outcomes: Sequence[Outcome], *, json: bool) -> None:
    """Print what a sweep came to: a table of means, and standard deviations over seeds."""
    rows = summarized(outcomes)
    if json:
        out.print_json(data=_as_data(outcomes, rows))
    elif rows:
        out.print(_table(rows))


def _table(rows: Sequence[SummaryRow]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("method", overflow="fold")
    for heading in ("sigma", "seeds", "accuracy under noise %", "ACR", "training"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.method,
            as_stated(row.sigma),
            str(len(row.seeds)),
            _spread(row.noisy_accuracy, as_share, as_share_at_most),
            _spread(row.acr, as_acr, as_error),
            "-" if row.seconds is None else as_duration(row.seconds.mean),
        )
    return table


def _spread(spread: Spread | None, mean: _Written, deviation: _Written) -> str:
    if spread is None:
        return "-"
    if spread.deviation is None:
        return mean(spread.mean)
    return f"{mean(spread.mean)} ± {deviation(spread.deviation)}"


def _as_data(outcomes: Sequence[Outcome], rows: Sequence[SummaryRow]) -> dict[str, Any]:
    """Return the outcomes and their summary as JSON values."""
    return {
        "trainings": [
            {
                "name": one.job.recipe.name,
                "method": one.job.recipe.method,
                "sigma": one.job.recipe.sigma,
                "seed": one.job.recipe.seed,
                "asked": one.job.asked,
                "status": one.status,
                "path": str(one.job.path) if one.bundle else None,
                "problem": one.problem,
                "log": str(one.job.log),
            }
            for one in outcomes
        ],
        "summary": [asdict(row) for row in rows],
    }

"""Progress of long work: what it takes, then a bar on a terminal, or lines when piped."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from rszoo.evaluation.formatting import as_rate, expected, slow_image

__all__ = ["ProgressBar", "bars", "fitting"]

# Seconds between lines: half a minute, later a twentieth of the time that has passed.
_SECONDS = 30.0
_SHARE = 0.05

# Seconds of work by which its rate is measured; the first step, in which memory is allocated and
# kernels are chosen, counts only if it takes longer than this many.
_MEASURED = 2.0
_SLOW_STEP = 10.0

# Work of fewer seconds is over before anybody has read how long it takes.
_LONG = 10.0

# Columns of a terminal for all but a task's name.
_NUMBERS = 46


def bars(console: Console, *numbers: ProgressColumn) -> Progress:
    """Return bars for a terminal: name, bar, share, numbers, and a status in what is left.

    However narrow the terminal is, the status is cut and nothing else.
    """
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=min(max(console.width // 8, 10), 40)),
        TextColumn("{task.percentage:>3.0f}%"),
        *numbers,
        TextColumn(
            "{task.fields[status]}",
            style="dim",
            markup=False,
            table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
        ),
        expand=True,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def fitting(name: str, console: Console) -> str:
    """Return the name of a task, cut where the numbers beside it would have no place."""
    most = max(console.width - _NUMBERS, 12)
    return name if len(name) <= most else f"{name[: most - 1]}…"


class ProgressBar:
    """Shows how much of `total` is done, at which rate, and how long the rest takes.

    A context manager; `advance` counts, `status` says something in words. Once the rate on this
    machine is known, one line says how much there is to do and how long that takes.
    """

    def __init__(
        self,
        console: Console,
        task: str,
        *,
        total: int,
        done: int = 0,
        unit: str,
        each: int = 0,
        how: str = "",
        faster: str = "",
    ) -> None:
        """Prepare the bar; entering it starts the clock.

        Args:
            console: where it is shown.
            task: what is done, in a few words.
            total, done: how many units there are, and how many are done already.
            unit: in the plural.
            each: how many an image takes; 0 where it is not images that take long.
            how: precision and device, in words.
            faster: what to do where an image takes long, in words.
        """
        self._console = console
        self._name = task
        self._unit = unit
        self._each, self._how, self._faster = each, how, faster
        self._warm: tuple[float, int] | None = None  # time and count, from which on is measured
        self._told = False
        self._total = total
        self._start = self._done = done
        self._began = time.monotonic()
        self._next_line = self._began + _SECONDS
        self._status = ""
        self._bar = bars(console, _RateColumn(unit), TimeRemainingColumn(compact=True))
        name = fitting(task, console)
        self._task = self._bar.add_task(name, total=total, completed=done, status="")

    def advance(self, amount: int = 1) -> None:
        """Add `amount` units to those that are done."""
        self._done += amount
        self._bar.advance(self._task, amount)
        now = time.monotonic()
        if not self._told:
            self._measure(now)
        if now >= self._next_line:
            elapsed = now - self._began
            self._next_line = now + max(_SECONDS, _SHARE * elapsed)
            self._line(elapsed)

    def status(self, text: str) -> None:
        """Show a few words beside the bar."""
        self._status = text
        self._bar.update(self._task, status=text)

    def __enter__(self) -> "ProgressBar":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def _measure(self, now: float) -> None:
        """Tell what there is to do as soon as its rate is known."""
        if self._warm is None:
            if now - self._began < _SLOW_STEP:
                self._warm = now, self._done
                return
            self._warm = self._began, self._start
        since, before = self._warm
        if now - since < _MEASURED or self._done == before:
            return
        self._told = True
        rate = (self._done - before) / (now - since)
        todo = self._total - self._start
        if todo / rate < _LONG:
            return
        work = f"{self._name}: {todo:,} {self._unit}" + (f" {self._how}" if self._how else "")
        text = expected(work, self._unit, rate=rate, seconds=todo / rate)
        self._console.print(text, highlight=False, soft_wrap=True)
        if warning := slow_image(self._each / rate, faster=self._faster):
            self._console.print(warning, style="yellow", highlight=False, soft_wrap=True)

    def _line(self, elapsed: float) -> None:
        if self._console.is_terminal:
            return
        rate = (self._done - self._start) / elapsed
        left = (self._total - self._done) / rate if rate else float("inf")
        share = self._done / self._total
        self._console.print(
            f"{self._name}: {share:.0%}, {as_rate(rate, self._unit)}, {left:,.0f} s left"
            + (f", {self._status}" if self._status else ""),
            highlight=False,
            soft_wrap=True,
        )


class _RateColumn(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if speed is None:
            return Text("")
        return Text(as_rate(speed, self._unit), style="dim")

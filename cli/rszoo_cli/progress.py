"""Progress of long work: a bar on a terminal, now and then a plain line when piped."""

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
from rich.text import Text

__all__ = ["Meter"]

# Seconds between lines: half a minute, later a twentieth of the time that has passed.
_SECONDS = 30.0
_SHARE = 0.05


class Meter:
    """Shows how much of `total` is done, at which rate, and how long the rest takes.

    A context manager; `advance` counts, `status` says something in words.
    """

    def __init__(
        self, console: Console, task: str, *, total: int, done: int = 0, unit: str
    ) -> None:
        self._console = console
        self._name = task
        self._unit = unit
        self._total = total
        self._start = self._done = done
        self._began = time.monotonic()
        self._next_line = self._began + _SECONDS
        self._status = ""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            _RateColumn(unit),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[status]}", style="dim"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(task, total=total, completed=done, status="")

    def advance(self, amount: int = 1) -> None:
        """Add `amount` units to those that are done."""
        self._done += amount
        self._bar.advance(self._task, amount)
        now = time.monotonic()
        if now >= self._next_line:
            elapsed = now - self._began
            self._next_line = now + max(_SECONDS, _SHARE * elapsed)
            self._line(elapsed)

    def status(self, text: str) -> None:
        """Show a few words beside the bar."""
        self._status = text
        self._bar.update(self._task, status=text)

    def __enter__(self) -> "Meter":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def _line(self, elapsed: float) -> None:
        if self._console.is_terminal:
            return
        rate = (self._done - self._start) / elapsed
        left = (self._total - self._done) / rate if rate else float("inf")
        share = self._done / self._total
        self._console.print(
            f"{self._name}: {share:.0%}, {rate:,.0f} {self._unit}/s, {left:,.0f} s left"
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
        return Text("" if speed is None else f"{speed:,.0f} {self._unit}/s", style="dim")

"""What `rszoo train` shows while it works: a bar for each task, or lines when piped."""

from rszoo.evaluation.progress_bar import ProgressBar
from rszoo.theory.rounding import as_share
from rszoo.training.loop import Epoch
from rszoo.training.observer import Observer
from rszoo_cli.console import err

__all__ = ["Shown"]


class Shown(Observer):
    """Draws the progress of a training on stderr."""

    meter: ProgressBar | None = None

    def note(self, text: str) -> None:
        err.print(text, highlight=False, markup=False, soft_wrap=True)

    def started(self, task: str, *, total: int, done: int, unit: str) -> None:
        self.meter = ProgressBar(err, task, total=total, done=done, unit=unit).__enter__()

    def advanced(self, amount: int = 1) -> None:
        if self.meter is not None:
            self.meter.advance(amount)

    def refreshing(self, share: float) -> None:
        if self.meter is not None:
            self.meter.status(f"looks at every training image again: {share:.0%}")

    def finished_epoch(self, epoch: Epoch, *, noisy_accuracy: float) -> None:
        if self.meter is not None:
            self.meter.status(
                f"epoch {epoch.number}, loss {epoch.loss:.4f}, "
                f"accuracy under noise {as_share(noisy_accuracy)}%"
            )

    def ended(self) -> None:
        if self.meter is not None:
            self.meter.__exit__(None, None, None)

"""What a training tells whoever watches it. The command line draws it; here nothing happens."""

from rszoo.training.loop import Epoch

__all__ = ["Observer"]


class Observer:
    """An observer of a training, which is called as it progresses; a subclass shows it."""

    def note(self, text: str) -> None:
        """Show a text that is worth one line."""

    def started(self, task: str, *, total: int, done: int, unit: str) -> None:
        """Show that a task of `total` units began, `done` of them earlier."""

    def advanced(self, amount: int = 1) -> None:
        """Show that so many more units of the current task are done."""

    def refreshing(self, share: float) -> None:
        """Show how much of what the method knows about each training image has been renewed."""

    def finished_epoch(self, epoch: Epoch, *, noisy_accuracy: float) -> None:
        """Show what an epoch came to."""

    def ended(self) -> None:
        """Show that the current task ended."""

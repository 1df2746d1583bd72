"""The process of one training of a sweep: `python -m rszoo.training.sweep.child`.

Its orders are one line of JSON on stdin. When stdin ends it ends too, as if it were told to by
SIGTERM: no training outlives the sweep that it belongs to, however that came to its end.
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rszoo.errors import RszooError
from rszoo.theory.rounding import as_share
from rszoo.training.observer import Observer
from rszoo.training.sweep.progress import Progress, write_progress

if TYPE_CHECKING:
    from rszoo.training.loop import Epoch

__all__: list[str] = []

# Seconds between two reports.
_PAUSE = 1.0


class _Reporter(Observer):
    """Writes lines into the log, and now and then how far the training is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._task, self._done, self._total, self._status = "starts", 0, 1, ""
        self._next = 0.0
        self._write()

    def note(self, text: str) -> None:
        print(text, flush=True)

    def started(self, task: str, *, total: int, done: int, unit: str) -> None:
        self._task, self._done, self._total, self._status = task, done, total, ""
        self.note(f"{task}: {done:,} of {total:,} {unit}")
        self._write()

    def advanced(self, amount: int = 1) -> None:
        self._done += amount
        self._write()

    def refreshing(self, share: float) -> None:
        self._status = f"looks at every training image again: {share:.0%}"
        self._write()

    def finished_epoch(self, epoch: "Epoch", *, noisy_accuracy: float) -> None:
        self._status = f"{as_share(noisy_accuracy)}% under noise, loss {epoch.loss:.4f}"
        self.note(f"epoch {epoch.number}: {self._status}")

    def _write(self) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PAUSE
            write_progress(self._path, Progress(self._task, self._done, self._total, self._status))


def _end_with_the_sweep() -> None:
    # os.read, not sys.stdin: a thread that waits in that one keeps the interpreter from ending.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _train(order: dict[str, Any]) -> None:
    from rszoo.training.recipes.recipe import Recipe
    from rszoo.training.run import train

    train(
        [Recipe.from_yaml(order["recipe"])],
        out=Path(order["out"]),
        data_root=None if order["data_root"] is None else Path(order["data_root"]),
        device=order["device"],
        precision=order["precision"],
        capture=order["capture"],
        fused=order["fused"],
        resume=True,
        observer=_Reporter(Path(order["progress"])),
        parent_run=order["parent_run"],
    )


def _main() -> int:
    order = json.loads(sys.stdin.readline())
    print(f"begins, {time.strftime('%Y-%m-%d %H:%M:%S')}", flush=True)
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()
    try:
        _train(order)
    except RszooError as error:
        print(f"error: {error}", flush=True)
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())

"""Seconds until a training begins, and how many of them its data take.

    python bench/data_start.py FOLDER

FOLDER is a data set of class folders. The training is stopped at its first batch, in a folder of
its own. The command is repeated to see what is kept of the pictures; with another checkout's `zoo`
and `cli` in PYTHONPATH, it measures that one. CPU seconds are those of all processes.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn


def now() -> tuple[float, float]:
    """Return wall-clock and CPU seconds."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(), time.process_time() + children.ru_utime + children.ru_stime


def main(folder: Path) -> None:
    """Start a training, and print the seconds until its first batch."""
    begun, spent = now(), [0.0, 0.0]

    import rszoo_cli
    from rszoo import data
    from rszoo.training.batches import Batches

    def timed(load: Callable[..., data.ImageSet]) -> Callable[..., data.ImageSet]:
        def read(*arguments: Any, **options: Any) -> data.ImageSet:
            before = now()
            images = load(*arguments, **options)
            for place, (old, new) in enumerate(zip(before, now(), strict=True)):
                spent[place] += new - old
            return images

        return read

    def stop(*ignored: Any, **options: Any) -> NoReturn:
        wall, cpu = (new - old for old, new in zip(begun, now(), strict=True))
        print(f"start: {wall:.1f} s, {cpu:.1f} CPU s")
        print(f"of it data: {spent[0]:.1f} s, {spent[1]:.1f} CPU s")
        raise SystemExit

    data.load = timed(data.load)
    Batches.of_epoch = stop
    options = ["--dataset", str(folder.resolve()), "--sigma", "0.5", "network.name=small_cnn"]
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        rszoo_cli.main(["train", "gaussian", *options])


if __name__ == "__main__":
    main(Path(sys.argv[1]))

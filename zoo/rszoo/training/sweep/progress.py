"""How far a training of a sweep is, in a file: the sweep may be on another machine."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rszoo._files import write_json_atomically

__all__ = ["Progress", "read_progress", "write_progress"]


@dataclass(frozen=True)
class Progress:
    """The progress of one training of a sweep.

    Attributes:
        task: what it does.
        done, total: units of the task.
        status: a few words.
    """

    task: str
    done: int
    total: int
    status: str


def read_progress(path: Path) -> Progress | None:
    """Return what a training reported last, or None."""
    try:
        return Progress(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_progress(path: Path, progress: Progress) -> None:
    """Report how far a training is."""
    write_json_atomically(path, asdict(progress))

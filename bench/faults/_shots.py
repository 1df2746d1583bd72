"""Shots: a process is killed at a random time, and what must hold afterwards is looked at."""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import TimeoutExpired

from rich.console import Console
from rich.table import Table

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from forks import Fork, Forks, forking
from stores import make_template

__all__ = ["Fork", "Forks", "Range", "Shot", "fire", "inside", "left_over"]

#: Seconds that a process may take that is not killed.
PATIENCE = 600.0

_STORED = """
import sys
from stores import migrated_stores
migrated_stores()  # a fresh MLflow store is made by its migrations, not copied
from rszoo_cli import main
main(sys.argv[1:])
"""


@dataclass
class Shot:
    """What was seen of one shot.

    Attributes:
        killed: the process was, before it ended by itself.
        survived: the same command, typed again, came to its end.
        lost, twice: what is not there afterwards, and what is there once too often or left over.
    """

    killed: bool = False
    survived: bool = True
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)

    def expect(self, holds: bool, what: str) -> None:
        """Note what is lost unless something holds."""
        if not holds:
            self.lost.append(what)


@dataclass(frozen=True)
class Range:
    """Where processes are started and killed.

    Attributes:
        forks: starts them.
        random: of the times.
        log: what they print.
    """

    forks: Forks
    random: random.Random
    log: Path

    def start(self, *arguments: str) -> Fork:
        """Start a command of rszoo in this folder."""
        return self.run_code(_STORED, *arguments)

    def run_code(self, code: str, *arguments: str) -> Fork:
        """Start Python code in this folder."""
        with open(self.log, "ab") as told:
            return self.forks.start("-c", code, *arguments, stdout=told, stderr=told)

    def ends_well(self, *arguments: str) -> bool:
        """Return whether a command of rszoo ends with 0."""
        return self.start(*arguments).wait(PATIENCE) == 0

    def seconds(self, *arguments: str) -> float:
        """Return what a command of rszoo takes that nobody kills."""
        begun = time.monotonic()
        if not self.ends_well(*arguments):
            raise SystemExit(self.log.read_text(errors="replace"))
        return time.monotonic() - begun

    def killed(self, process: Fork, *, within: float) -> bool:
        """Kill a process at a random time; return whether it had not ended before."""
        try:
            process.wait(self.random.uniform(0.0, within))
        except TimeoutExpired:
            process.kill()
            return process.wait(PATIENCE) < 0
        return False


def left_over(folder: Path) -> list[str]:
    """Return the drafts, old copies and temporary files below a folder."""
    return sorted(path.name for path in folder.rglob(".*.*") if path.suffix in _DRAFTS)


_DRAFTS = (".new", ".old", ".tmp")


def fire(
    name: str,
    shoot: Callable[[Range, int], Shot],
    *,
    prepare: Callable[[Range], None],
    shots: int = 25,
) -> None:
    """Fire shots, each in a fresh folder, and print what became of them; exit 1 for a bad one.

    Args:
        name: what is killed.
        shoot: fires one shot, given its number.
        prepare: called once before, in a folder of its own that stays.
        shots: how many, unless an option says it.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--shots", type=int, default=shots)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--minutes", type=float, default=60.0, help="no further shot after them")
    given = parser.parse_args()
    with _range(given.seed) as (where, root):
        with inside(root / "whole"):
            prepare(where)
        begun, fired = time.monotonic(), []
        for number in range(given.shots):
            if time.monotonic() - begun > 60 * given.minutes:
                break
            with inside(root / f"shot-{number}"):
                fired.append(shoot(where, number))
            _tell(number, fired[-1], where.log)
        _print(name, fired, seconds=time.monotonic() - begun, seed=given.seed)
    sys.exit(any(shot.lost or shot.twice or not shot.survived for shot in fired))


@contextmanager
def _range(seed: int) -> Iterator[tuple[Range, Path]]:
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in ("MLFLOW_TRACKING_URI", "HF_ENDPOINT"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_template(root / "tables.db")
        with forking(root, root / "tables.db") as forks:
            yield Range(forks, random.Random(seed), root / "log"), root


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Be in a folder, made if need be, for the length of a block."""
    before = Path.cwd()
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _tell(number: int, shot: Shot, log: Path) -> None:
    """Say what is wrong after a shot, with the last lines that were printed."""
    if shot.survived and not shot.lost and not shot.twice:
        return
    print(f"shot {number}: {shot}", file=sys.stderr)
    print("\n".join(log.read_text(errors="replace").splitlines()[-15:]), file=sys.stderr)


def _print(name: str, shots: Sequence[Shot], *, seconds: float, seed: int) -> None:
    table = Table("killed", "shots", "before the end", "survivors", "lost", "twice", "seconds")
    table.add_row(
        name,
        str(len(shots)),
        str(sum(shot.killed for shot in shots)),
        str(sum(shot.survived for shot in shots)),
        str(sum(len(shot.lost) for shot in shots)),
        str(sum(len(shot.twice) for shot in shots)),
        f"{seconds:.0f}",
    )
    console = Console()
    console.print(table)
    console.print(f"seed {seed}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")

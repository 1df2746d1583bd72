"""`kill -9` of a sweep, not of its trainings; the same command must end where none was killed.

python bench/faults/sweep.py [--shots 25] [--seed N]
"""

import json
from pathlib import Path

from _runs import check_runs, weights
from _shots import PATIENCE, Fork, Range, Shot, fire

COMMAND = ("gaussian", "--sigma", "0.25", "--sigma", "0.5", "train.epochs=1", "--jobs", "2")
SWEEP = """
import json, sys
from rszoo.training.sweep import engines
from rszoo_cli import main
engines._CHILD = json.loads(sys.argv[1])
main(["sweep", *sys.argv[2:]])
"""
seconds, whole = 0.0, {}


def started(where: Range) -> Fork:
    """Start a sweep whose trainings are ready at once."""
    child = [*where.forks.command, "-m", "rszoo.training.sweep.child"]
    return where.run_code(SWEEP, json.dumps(child), *COMMAND)


def prepare(where: Range) -> None:
    """Sweep without a kill."""
    global seconds, whole
    import time

    begun = time.monotonic()
    if started(where).wait(PATIENCE):
        raise SystemExit(where.log.read_text())
    seconds = time.monotonic() - begun
    whole = weights(Path("runs"))


def shoot(where: Range, number: int) -> Shot:
    """Kill one sweep, and type it again."""
    shot = Shot(killed=where.killed(started(where), within=seconds))
    shot.survived = started(where).wait(PATIENCE) == 0
    check_runs(shot, Path("runs"), whole=whole)
    return shot


if __name__ == "__main__":
    fire("sweep", shoot, prepare=prepare)

"""`kill -9` of a training that makes its MLflow store; `--resume` must end where none was killed.

python bench/faults/train.py [--shots 25] [--seed N]
"""

from pathlib import Path

from _runs import check_runs, weights
from _shots import Range, Shot, fire

COMMAND = ("train", "gaussian", "--sigma", "0.25", "train.epochs=1")
seconds, whole = 0.0, {}


def prepare(where: Range) -> None:
    """Train without a kill."""
    global seconds, whole
    seconds = where.seconds(*COMMAND)
    whole = weights(Path("runs"))


def shoot(where: Range, number: int) -> Shot:
    """Kill one training, and resume it."""
    shot = Shot(killed=where.killed(where.start(*COMMAND), within=seconds))
    shot.survived = where.ends_well(*COMMAND, "--resume")
    check_runs(shot, Path("runs"), whole=whole)
    return shot


if __name__ == "__main__":
    fire("train, fresh store", shoot, prepare=prepare)

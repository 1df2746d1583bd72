"""`kill -9` of `certify --attach`: every second one certifies, the others only attach.

    python bench/faults/attach.py [--shots 25] [--seed N]

A bundle that opens must be there at any time, and in the end every row once.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from _shots import Range, Shot, fire, left_over

from rszoo.errors import RszooError
from rszoo.evaluation.log import read_log
from rszoo.hub.bundle import open_bundle

MODEL = Path("runs/digits-gaussian-0.25")
BUILTIN = Path(__file__).parents[2] / "zoo/rszoo/builtin" / MODEL.name
LIMIT = 12
COMMAND = ("certify", "--model", str(MODEL), "--out", "log.tsv", "--n", "1000", "--seed", "0",
           "--limit", str(LIMIT), "--device", "cpu", "--batch-size", "500", "--resume",
           "--attach", "--overwrite")  # fmt: skip


@dataclass(frozen=True)
class Whole:
    """What an uninterrupted certification gives: seconds, where its log is, and the votes."""

    certifying: float
    attaching: float
    folder: Path
    votes: list[tuple[object, ...]]


whole: Whole


def prepare(where: Range) -> None:
    """Certify, and attach, without a kill."""
    shutil.copytree(BUILTIN, MODEL)
    global whole
    certifying, attaching = where.seconds(*COMMAND), where.seconds(*COMMAND)
    whole = Whole(certifying, attaching, Path.cwd(), _votes())


def shoot(where: Range, number: int) -> Shot:
    """Kill one certification, or one attach of a finished log, and type it again."""
    shutil.copytree(BUILTIN, MODEL)
    span = whole.attaching if number % 2 else whole.certifying
    if number % 2:
        for name in ("log.tsv", "log.json"):
            shutil.copyfile(whole.folder / name, name)
    shot = Shot(killed=where.killed(where.start(*COMMAND), within=span))
    shot.expect(_opens(), "a bundle that opens")
    shot.survived = where.ends_well(*COMMAND)
    shot.expect(_votes() == whole.votes, "the votes of the uninterrupted certification")
    shot.twice += left_over(Path.cwd())
    return shot


def _opens() -> bool:
    try:
        open_bundle(MODEL)
    except RszooError:
        return False
    return True


def _votes() -> list[tuple[object, ...]]:
    log = read_log(MODEL / "certificates.tsv")
    return [(int(idx), vars(log.certificate(row))) for row, idx in enumerate(log.idx)]


if __name__ == "__main__":
    fire("certify --attach", shoot, prepare=prepare)

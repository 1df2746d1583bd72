"""A disk that gets full under each command that writes; with more room it must end as any.

    sudo python bench/faults/full_disk.py [--shots 8] [--seed N]

Each disk is a small tmpfs of its own, which only root may mount, with a random part of the room
that the command needs. The command is to end with 1 and a line that says why, and the same command
to end well once there is room.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from _shots import PATIENCE, Range, Shot, fire, inside, left_over

BUILTIN = Path(__file__).parents[2] / "zoo/rszoo/builtin"
BUNDLE, OTHER = "bundles/digits-gaussian-0.25", "bundles/digits-stability-0.25"
_SPARE = 32 << 20  # bytes of a disk
_DRAFT = 60_000  # bytes that some need for a while


@dataclass(frozen=True)
class Writer:
    """A command that writes.

    Attributes:
        command: what is typed.
        again: what is added the second time.
    """

    command: tuple[str, ...]
    again: tuple[str, ...] = ()


CERTIFY = ("certify", "--model", BUNDLE, "--n", "1000", "--limit", "40", "--device", "cpu",
           "--batch-size", "500", "--seed", "0", "--out")  # fmt: skip
WRITERS = {
    "train": Writer(("train", "gaussian", "--sigma", "0.25", "train.epochs=1"), ("--resume",)),
    "certify": Writer((*CERTIFY, "new/log.tsv"), ("--resume",)),
    "certify --attach": Writer((*CERTIFY, "log.tsv", "--resume", "--attach", "--overwrite")),
    "report --plot": Writer(("report", BUNDLE, "--plot", "curve.png")),
    "leaderboard --html": Writer(("leaderboard", "bundles", "--html", "page.html")),
    "compose ensemble": Writer(
        ("compose", "ensemble", "--member", BUNDLE, "--member", OTHER, "--out", "new/two")
    ),
    "export": Writer(("export", BUNDLE, "--out", "new/export"), ("--overwrite",)),
    "recipe cp": Writer(("recipe", "cp", "gaussian", "own.yaml")),
    "data --out": Writer(("data", "digits", "--out", "digits.json")),
}
needs: dict[str, int] = {}


def prepare(where: Range) -> None:
    """Measure how much room each command takes."""
    for name, writer in WRITERS.items():
        with _disk(_SPARE) as disk:
            _furnish(disk)
            before = _used(disk)
            code, told = _run(where, disk, writer.command)
            if code:
                raise SystemExit(f"{name}: {told}")
            needs[name] = _used(disk) - before
    print({name: f"{size / 1000:.0f} kB" for name, size in needs.items()}, flush=True)


def shoot(where: Range, number: int) -> Shot:
    """Let the disk get full under every command once, then make room and type it again."""
    shot = Shot()
    for name, writer in WRITERS.items():
        with _disk(_SPARE) as disk:
            _furnish(disk)
            room = int(where.random.uniform(0, max(needs[name], _DRAFT)))
            filler = disk / "filler"
            filler.write_bytes(bytes(shutil.disk_usage(disk).free - room))
            code, told = _run(where, disk, writer.command)
            shot.killed |= code == 1
            shot.expect(code in (0, 1), f"{name}: exit code {code}")
            shot.expect("Traceback" not in told, f"{name}: an error in a line, got {told[-600:]}")
            filler.unlink()
            again = writer.again if code else ()
            if code:
                code, told = _run(where, disk, (*writer.command, *again))
            shot.expect(code == 0, f"{name} with room: {told[-600:]}")
            shot.twice += [f"{name}: {left}" for left in left_over(disk)]
    return shot


@contextmanager
def _disk(size: int) -> Iterator[Path]:
    disk = Path("disk").resolve()
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
        disk.rmdir()


def _furnish(disk: Path) -> None:
    for bundle in (BUNDLE, OTHER):
        shutil.copytree(BUILTIN / Path(bundle).name, disk / bundle)


def _used(disk: Path) -> int:
    return shutil.disk_usage(disk).used


def _run(where: Range, disk: Path, command: tuple[str, ...]) -> tuple[int, str]:
    """Run a command on a disk; return its exit code and what it printed."""
    where.log.write_bytes(b"")
    with inside(disk):
        process = where.start(*command)
    return process.wait(PATIENCE), where.log.read_text(errors="replace")


if __name__ == "__main__":
    fire("full disk", shoot, prepare=prepare, shots=8)

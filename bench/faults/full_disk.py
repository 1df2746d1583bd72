"""A disk that gets full under each command that writes; with more room it must end as any.

    sudo python bench/faults/full_disk.py [--shots 8] [--seed N]

Each disk is a small tmpfs of its own, which only root may mount, with a random part of the room
that the command needs; in every second shot the command writes over what an earlier one has made.
It is to end with 1 and a line that says why, to leave the files that were there as they were, and
to end well once there is room. The last disks are those of a hub that is pushed to, and of the
cache of a client that pulls.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _hub import Served
from _shots import PATIENCE, Range, Shot, fire, inside, left_over
from _writers import BUNDLES, FILES, WRITERS, furnish

_SPARE = 32 << 20  # bytes of a disk
# What is said of a full disk by the system, by SQLite, and by a hub.
_WHY = ("No space left", "disk is full", "507")
_DRAFT = 60_000  # bytes that some need for a while
_PUSHED = Path(__file__).parents[2] / "zoo/rszoo/builtin" / Path(BUNDLES[0]).name
needs: dict[str, int] = {}
files: Path
hub: Served


def prepare(where: Range) -> None:
    """Make what commands need, start a hub, and measure how much room each command takes."""
    global files, hub
    files = Path("files").resolve()
    with inside(files):
        furnish(files, None)
        for command in FILES.values():
            where.seconds(*command)
    for name, writer in WRITERS.items():
        with _disk() as disk:
            furnish(disk, files)
            needs[name] = _taken(where, disk, name, writer.command)
    with _disk() as disk, _served(where, disk):
        needs["push"] = _taken(where, disk, "push", ("push", str(_PUSHED), "team/first"))
    print({name: f"{size / 1000:.0f} kB" for name, size in needs.items()}, flush=True)


def shoot(where: Range, number: int) -> Shot:
    """Let the disk get full under every command once, then make room and type it again."""
    shot = Shot()
    for name, writer in WRITERS.items():
        with _disk() as disk:
            furnish(disk, files)
            command = writer.command
            if number % 2 and writer.over is not None:
                _taken(where, disk, name, command)
                command = (*command, *writer.over)
            _try(where, disk, shot, name, command, writer.again)
            shot.twice += [f"{name}: {left}" for left in left_over(disk)]
    with _disk() as disk, _served(where, disk):
        _taken(where, disk, "push", ("push", str(_PUSHED), "team/first"))
        _try(where, disk, shot, "push", ("push", str(_PUSHED), "team/second"), ())
        for model in ("first", "second"):
            there = {file.path for file in hub.api.list_repo_tree(f"team/{model}")}
            shot.expect({path.name for path in _PUSHED.iterdir()} <= there, f"hub: {model}")
        shot.twice += [f"hub: {left.name}" for left in disk.rglob("tmp/*")]
    return shot


def _try(
    where: Range,
    disk: Path,
    shot: Shot,
    name: str,
    command: tuple[str, ...],
    again: tuple[str, ...],
) -> None:
    """Run a command with too little room, and again with enough."""
    room = int(where.random.uniform(0, max(needs[name], _DRAFT)))
    filler, before = disk / "filler", _contents(disk)
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - room))
    code, told = _run(where, disk, command)
    shot.killed |= code == 1
    shot.expect(code in (0, 1), f"{name}: exit code {code}")
    shot.expect("Traceback" not in told, f"{name}: an error in a line, got {told[-600:]}")
    if code:
        why = any(text in told for text in _WHY)
        shot.expect(why, f"{name}: why it ended, got {told[-600:]}")
        lost = [path for path, digest in before.items() if _contents(disk).get(path) != digest]
        shot.expect(not lost, f"{name}: {lost} as they were")
    filler.unlink()
    if code:
        code, told = _run(where, disk, (*command, *again))
    shot.expect(code == 0, f"{name} with room: {told[-600:]}")


def _taken(where: Range, disk: Path, name: str, command: tuple[str, ...]) -> int:
    """Run a command with room; return how much of it that takes."""
    before = shutil.disk_usage(disk).used
    code, told = _run(where, disk, command)
    if code:
        raise SystemExit(f"{name}: {told}")
    return shutil.disk_usage(disk).used - before


@contextmanager
def _disk() -> Iterator[Path]:
    disk = Path("disk").resolve()
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SPARE}", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
        disk.rmdir()


@contextmanager
def _served(where: Range, disk: Path) -> Iterator[None]:
    """Serve a hub of a disk."""
    global hub
    hub = Served(where, disk / "hub")
    process = hub.start()
    try:
        yield
    finally:
        process.kill()
        process.wait(PATIENCE)


def _contents(disk: Path) -> dict[str, str]:
    """Return the digests of the files of a disk, but for locks and what is only added to."""
    return {
        str(path.relative_to(disk)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in disk.rglob("*")
        if path.is_file() and path.name != "filler" and path.suffix != ".lock"
    }


def _run(where: Range, disk: Path, command: tuple[str, ...]) -> tuple[int, str]:
    """Run a command on a disk; return its exit code and what it printed."""
    where.log.write_bytes(b"")
    with inside(disk):
        process = where.start(*command)
    return process.wait(PATIENCE), where.log.read_text(errors="replace")


if __name__ == "__main__":
    fire("full disk", shoot, prepare=prepare, shots=8)

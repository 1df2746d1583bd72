"""`kill -9` of `dvc repro` alone: the stage that it runs goes on without it.

    python bench/faults/dvc_stage.py [--shots 25] [--seed N]

The next `dvc repro`, of other epochs every second time, is typed until it ends well; a stage may
refuse while the orphan is at work. When all have ended, nothing that DVC keeps has changed. Files
that DVC itself was killed in the middle of are removed, as docs/pipeline.md says, and counted.
"""

import json
import os
import time
from pathlib import Path
from subprocess import Popen

import yaml
from _shots import PATIENCE, Range, Shot, fire
from test_pipeline import TINY, Copy

_TRIES = 60
# What DVC prints where one of its own files is half-written, and which one that is.
_HALF_WRITTEN = {"RWLock-file": ".dvc/tmp/rwlock", "dvc.lock' ": "dvc.lock"}
seconds = 0.0


def prepare(where: Range) -> None:
    """Reproduce without a kill."""
    global seconds
    copy, begun = Copy(Path.cwd(), where.forks, **TINY), time.monotonic()
    copy.dvc("repro", "certify")
    seconds = time.monotonic() - begun


def shoot(where: Range, number: int) -> Shot:
    """Kill one repro, reproduce as soon as that goes, and wait for the orphans."""
    copy, shot = Copy(Path.cwd(), where.forks, **TINY), Shot()
    process = copy.start("repro", "certify")
    time.sleep(where.random.uniform(0.0, seconds))
    shot.killed = process.poll() is None
    process.kill()  # and so DVC, but not what it has started
    orphans = _at_work(copy.folder)
    if number % 2:
        params = yaml.safe_load((copy.folder / "params.yaml").read_text())
        params["train"] = "train.epochs=3"
        (copy.folder / "params.yaml").write_text(yaml.safe_dump(params))
    shot.survived = _repeated(copy, where)
    while _at_work(copy.folder):
        time.sleep(0.1)
    changed = json.loads(copy.dvc("status", "--json", "certify"))
    shot.expect(changed == {}, f"outputs as they were: {changed}; orphans: {orphans}")
    return shot


def _repeated(copy: Copy, where: Range) -> bool:
    """Return whether repro ends well after some tries."""
    for _ in range(_TRIES):
        process: Popen[str] = copy.start("repro", "certify")
        output, _ = process.communicate(timeout=PATIENCE)
        if process.returncode == 0:
            return True
        with open(where.log, "a") as told:
            told.write(output)
        broken = [name for told, name in _HALF_WRITTEN.items() if told in output]
        for name in broken:
            (copy.folder / name).unlink()
            print(f"{name} was left half-written by DVC, and removed", flush=True)
        if broken:
            continue
        if "another process" not in output:
            return False
        time.sleep(0.5)
    return False


def _at_work(folder: Path) -> list[str]:
    """Return the commands of the processes whose folder it is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = os.readlink(process / "cwd") == str(folder)
            command = (process / "cmdline").read_text().replace("\0", " ")
            ended = "\nState:\tZ" in (process / "status").read_text()
        except OSError:
            continue
        if here and not ended:
            found.append(command)
    return found


if __name__ == "__main__":
    fire("dvc repro, not its stage", shoot, prepare=prepare)

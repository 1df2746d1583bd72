"""CPU seconds of the commands that read and print, from the start of the process to its end.

    python bench/command_seconds.py [RSZOO...] [--turns 7]

User and system time: median and least of some turns, after one that warms the caches. Several
`rszoo` commands, such as those of two checkouts, are measured turn by turn, each with its own
bundles; without any it is the one beside this Python.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

from rich.console import Console
from rich.table import Table

LOG = str(Path(__file__).parent / "results/mnist/mnist-gaussian-0.50.tsv")
COMMANDS = (
    ("--help",),
    ("report", LOG),
    ("report", LOG, "--plot", "curve.png"),
    ("ls",),
    ("show", "builtin/digits-cat_rs-0.50"),
    ("leaderboard",),
)


def cpu_seconds(program: str, arguments: tuple[str, ...], folder: str) -> float:
    """Return the user and system time of one process, and of those that it waited for."""
    # Bytecode is what a warm machine has.
    env = {key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run(
        [program, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=folder, env=env
    )
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    beside = str(Path(sys.executable).with_name("rszoo"))
    parser.add_argument("programs", metavar="RSZOO", nargs="*", default=[beside])
    parser.add_argument("--turns", type=int, default=7)
    given = parser.parse_args()
    programs = [str(Path(program).absolute()) for program in given.programs]
    table = Table("command", *programs)
    with tempfile.TemporaryDirectory() as folder:
        for arguments in COMMANDS:
            turns = [
                [cpu_seconds(program, arguments, folder) for program in programs]
                for _ in range(1 + given.turns)
            ][1:]
            shown = " ".join("LOG" if part == LOG else part for part in arguments)
            columns = zip(*turns, strict=True)
            table.add_row(shown, *(f"{median(one):.2f} ({min(one):.2f})" for one in columns))
    Console().print(table)


if __name__ == "__main__":
    main()

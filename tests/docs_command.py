"""The `rszoo` command of the docs' tests: `docs_command.py SOCKET ARGUMENT...`, a fork, and cheap.

`CHEAPER` is all that differs from what the reader does.
"""

import os
import sys

import forks

#: Appended to what a page says; the last of two equal options counts.
CHEAPER = {
    "train": ["train.epochs=2"],
    "certify": ["--n", "500", "--limit", "20"],
    "verify": ["--n", "500", "--seed", "1"],
}


def cheaper(arguments: list[str]) -> list[str]:
    """Return the arguments of a command that takes less of everything."""
    if arguments[:2] == ["hub", "serve"]:
        return [*arguments, "--port", os.environ["DOCS_HUB_PORT"]]
    if "--help" in arguments:
        return arguments
    draws = ["targets.draws=20"] if arguments[0] == "train" and "cat_rs" in arguments[1] else []
    return [*arguments, *CHEAPER.get(arguments[0], []), *draws]


if __name__ == "__main__":
    address, *arguments = sys.argv[1:]
    sys.exit(forks.call(address, ["-m", "rszoo_cli", *cheaper(arguments)]))

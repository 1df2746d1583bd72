"""The `rszoo` command of the docs' tests: `docs_command.py SOCKET ARGUMENT...`, a fork, and cheap.

`CHEAPER` is all that differs from what the reader does.
"""

import os
import sys

import forks

#: Appended to what a page says; the last of two equal options counts.
CHEAPER = {
    "train": ["train.epochs=2"],
    "certify": ["--n", "500", "--limit", "60"],
    "verify": ["--n", "500", "--seed", "1"],
}


def cheaper(arguments: list[str]) -> list[str]:
    """Return the arguments of a command that takes less of everything."""
    if arguments[:2] == ["hub", "serve"]:
        return [*arguments, "--port", os.environ["DOCS_HUB_PORT"]]
    more = [] if "--help" in arguments else CHEAPER.get(arguments[0], [])
    return [*arguments, *more]


if __name__ == "__main__":
    address, *arguments = sys.argv[1:]
    sys.exit(forks.call(address, ["-m", "rszoo_cli", *cheaper(arguments)]))

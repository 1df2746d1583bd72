"""The two streams of the command line: results go to `out`, everything else to `err`."""

import os
import sys
from typing import NoReturn

from rich.console import Console

__all__ = ["err", "out"]

# The exit code when whoever read the output has left, as after `| head`: that of SIGPIPE.
_NO_READER = 141


class _Output(Console):
    def on_broken_pipe(self) -> NoReturn:
        """End quietly: a reader that has seen enough is no failure."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to come
        raise SystemExit(_NO_READER)


out = _Output()
err = Console(stderr=True)

"""The two streams of the command line: results go to `out`, everything else to `err`."""

from rich.console import Console

__all__ = ["err", "out"]

out = Console()
err = Console(stderr=True)

"""`rszoo merge`: one log out of the logs of several shards."""

from pathlib import Path
from typing import Annotated

import typer

from rszoo_cli.answers import print_summary
from rszoo_cli.console import err

__all__ = ["merge"]


def merge(
    logs: Annotated[list[Path], typer.Argument(metavar="LOG...", help="The logs of the shards.")],
    out: Annotated[Path, typer.Option(help="The log to write.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Merge the logs of `rszoo certify --shard`: same protocol, no input twice.

    Example:

        rszoo merge certificates/NAME.*-of-8.tsv --out certificates/NAME.tsv
    """
    from rszoo.evaluation.merge import merge_logs

    rows = merge_logs(logs, out)
    print_summary(out, json=json)
    err.print(f"log: {out}, {rows} inputs", highlight=False, soft_wrap=True)

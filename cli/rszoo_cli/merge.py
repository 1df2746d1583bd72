"""`rszoo merge`: one log out of the logs of several shards."""

from pathlib import Path
from typing import Annotated

import typer

from rszoo_cli.answers import print_summary
from rszoo_cli.console import err
from rszoo_cli.options import Json
from rszoo_cli.usage import check_redirect

__all__ = ["merge"]


def merge(
    logs: Annotated[list[Path], typer.Argument(metavar="LOG...", help="The logs of the shards.")],
    out: Annotated[Path, typer.Option(help="The log to write.")],
    partial: Annotated[
        bool, typer.Option("--partial", help="Merge although some inputs are in none of the logs.")
    ] = False,
    json: Json = False,
) -> None:
    """Merge the logs of `rszoo certify --shard`: same protocol, each input in one of them.

    Example:

        rszoo merge certificates/NAME.*-of-8.tsv --out certificates/NAME.tsv
    """
    from rszoo.evaluation.merge import merge_logs
    from rszoo.evaluation.protocol import protocol_path

    check_redirect(out, protocol_path(out))
    found = merge_logs(logs, out, partial=partial)
    print_summary(out, json=json)
    err.print(f"log: {out}, {found}", highlight=False, soft_wrap=True)

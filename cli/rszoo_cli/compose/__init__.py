"""`rszoo compose`: bundles made of other bundles.

One file each: the function that has the file's name is the command.
"""

import typer

from rszoo import _registry
from rszoo_cli.help import Group, LongCommand

__all__ = ["app"]

app = typer.Typer(cls=Group, no_args_is_help=True, help="Make a bundle out of other bundles.")
for _name in _registry.names(__name__):
    app.command(cls=LongCommand)(getattr(_registry.load(__name__, _name, kind="command"), _name))

"""`rszoo compose`: bundles made of other bundles.

One file each: the function that has the file's name is the command.
"""

import typer

from rszoo import _registry

__all__ = ["app"]

app = typer.Typer(
    help="Make a bundle out of other bundles.", no_args_is_help=True, rich_markup_mode="markdown"
)
for _name in _registry.names(__name__):
    app.command()(getattr(_registry.load(__name__, _name, kind="command"), _name))

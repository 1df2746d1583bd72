"""`rszoo compose`: bundles made of other bundles."""

import typer

from rszoo_cli.compose_mixed import mixed

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Make a bundle of other bundles.")
app.command()(mixed)


@app.callback()
def _group() -> None:
    pass  # one command alone would otherwise be the whole group

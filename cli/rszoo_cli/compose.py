"""`rszoo compose`: bundles made of other bundles."""

from pathlib import Path
from typing import Annotated

import typer

from rszoo_cli.console import err, out
from rszoo_cli.options import Json

__all__ = ["app"]

app = typer.Typer(
    help="Make a bundle out of other bundles.", no_args_is_help=True, rich_markup_mode="markdown"
)


@app.callback()
def _group() -> None:
    pass


@app.command()
def dual(
    expert: Annotated[
        list[str],
        typer.Option(
            metavar="ID", help="A smoothed bundle; once for each, in the order of the router's."
        ),
    ],
    router: Annotated[
        str, typer.Option(metavar="ID", help="A router; rszoo train dual_rs makes one.")
    ],
    to: Annotated[Path, typer.Option("--out", help="The new bundle's folder.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    json: Json = False,
) -> None:
    """Put a router over experts (Dual RS): strong at small and at large radii.

    The new bundle names its parts and holds none of them: they have to stay where they are, or be
    on a hub.

    Example:

        rszoo compose dual --expert runs/a-0.25 --expert runs/a-1.00 --router runs/r --out runs/d
    """
    from rszoo.hub.catalog import find
    from rszoo.hub.composed import compose_dual

    bundle = compose_dual(
        to, experts=[find(one) for one in expert], router=find(router), overwrite=overwrite
    )
    if json:
        parts = [part.model_dump() for part in bundle.config.parts]
        out.print_json(data={"id": bundle.id, "parts": parts})
        return
    out.print(bundle.id, markup=False, highlight=False, soft_wrap=True)
    text = f"certify with: rszoo certify --model {bundle.id}"
    err.print(text, markup=False, highlight=False, soft_wrap=True)

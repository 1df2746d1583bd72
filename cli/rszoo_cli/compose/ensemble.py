"""`rszoo compose ensemble`: the average of several networks."""

from pathlib import Path
from typing import Annotated

import typer

from rszoo_cli.compose._shown import check_free, show_composed
from rszoo_cli.options import Json

__all__ = ["ensemble"]


def ensemble(
    member: Annotated[
        list[str], typer.Option(metavar="ID", help="A smoothed bundle; once for each.")
    ],
    to: Annotated[Path, typer.Option("--out", help="The new bundle's folder.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    json: Json = False,
) -> None:
    """Average the logits of networks of one noise level (Horvath et al., 2022).

    Networks that differ in nothing but their seed err in other draws of the noise: their average
    is more often right, and certified further. Every draw costs as much as all members together.
    The new bundle names its members and holds none of them.

    Example:

        rszoo compose ensemble --member runs/a --member runs/b --member runs/c --out runs/abc
    """
    from rszoo.hub.catalog import find
    from rszoo.hub.kinds.ensemble import compose_ensemble

    check_free(to, overwrite)
    bundle = compose_ensemble(to, members=[find(one) for one in member], overwrite=overwrite)
    show_composed(bundle, json=json)

"""`rszoo compose cascade`: experts that are asked one after the other."""

from pathlib import Path
from typing import Annotated

import typer

from rszoo_cli.compose._shown import check_free, show_composed
from rszoo_cli.options import Json

__all__ = ["cascade"]


def cascade(
    expert: Annotated[
        list[str], typer.Option(metavar="ID", help="A smoothed bundle; once for each.")
    ],
    to: Annotated[Path, typer.Option("--out", help="The new bundle's folder.")],
    sigma: Annotated[
        list[float] | None,
        typer.Option(
            help="A noise level of the only expert; once for each.",
            show_default="each expert at its own",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    json: Json = False,
) -> None:
    """Ask experts one after the other, until one is sure (Jeong and Shin, 2023).

    The expert of the largest sigma is asked first; one with a class that has more than half of
    its noise answers, the last one in any case. Strong at small and at large radii, and nothing
    to train. The new bundle names its parts and holds none of them.

    Example:

        rszoo compose cascade --expert runs/a-0.25 --expert runs/a-1.00 --out runs/c
    """
    from rszoo.hub.catalog import find
    from rszoo.hub.kinds.cascade import compose_cascade

    check_free(to, overwrite)
    experts = [find(one) for one in expert]
    bundle = compose_cascade(to, experts=experts, sigmas=sigma or None, overwrite=overwrite)
    show_composed(bundle, json=json)

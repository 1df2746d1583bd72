"""What the commands that mix two models have in common."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["AlphaMix", "Out", "Overwrite", "Standard"]


def _alpha_mix(value: float | None) -> float | None:
    if value is not None and not 0.5 < value <= 1.0:
        raise typer.BadParameter(
            f"expected 1/2 < alpha_mix <= 1, got {value}: the standard part would decide"
        )
    return value


Standard = Annotated[
    str, typer.Option(metavar="ID", help="The accurate network: a standard bundle.")
]
Out = Annotated[Path, typer.Option("--out", help="The new bundle's folder.")]
AlphaMix = Annotated[
    float | None,
    typer.Option(callback=_alpha_mix, help="Weight of the robust part, above 1/2 and up to 1."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the bundle that is there.")]

"""Options that several commands take, said once."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Alpha",
    "DataRoot",
    "Device",
    "Download",
    "Json",
    "Model",
    "NoiseSeed",
    "Precision",
    "RecipeSeed",
    "Resize",
]


def _probability(value: float) -> float:
    if not 0.0 < value < 1.0:
        raise typer.BadParameter(f"expected 0 < alpha < 1, got {value}")
    return value


Alpha = Annotated[
    float, typer.Option(callback=_probability, help="Failure probability per input.")
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="ID",
        help="A bundle: its path, builtin/NAME, or org/name[@revision] on a hub.",
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        help="Folder that holds the data sets.", envvar="RSZOO_DATA", show_default="a cache folder"
    ),
]
Download = Annotated[bool, typer.Option("--download", help="Fetch a missing data set.")]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1, ...", show_default="a GPU if there is one")
]
Precision = Annotated[
    str, typer.Option(help="auto, float32 or bfloat16. auto: bfloat16 where it is fast.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, to stdout.")]
Resize = Annotated[bool, typer.Option("--resize", help="Scale images to the model's size.")]
RecipeSeed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=0,
        max=2**63 - 1,
        help="Seed of everything random.",
        show_default="0, or that of a bundle's recipe",
    ),
]
NoiseSeed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=0,
        max=2**63 - 1,
        help="Seed of all noise.",
        show_default="a random one, or with --resume that of the log",
    ),
]

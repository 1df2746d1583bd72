"""Options that several commands take, said once."""

from pathlib import Path
from typing import Annotated

import typer

from rszoo_cli.panels import advanced, budget, data, output, where
from rszoo_cli.values import count

__all__ = [
    "Address",
    "Alpha",
    "Capture",
    "DataRoot",
    "Device",
    "Devices",
    "Download",
    "Engine",
    "FusedAttacks",
    "Inputs",
    "Json",
    "Limit",
    "Model",
    "NoiseSeed",
    "Overrides",
    "Precision",
    "Profile",
    "RecipeData",
    "RecipeSeed",
    "Resize",
    "ResumeLog",
    "Sigmas",
    "Skip",
    "TestData",
]


def _probability(value: float) -> float:
    if not 0.0 < value < 1.0:
        raise typer.BadParameter(f"expected 0 < alpha < 1, got {value}")
    return value


def _precision(value: str) -> str:
    if value not in ("auto", "float32", "bfloat16"):
        raise typer.BadParameter(f"expected auto, float32 or bfloat16, got {value!r}")
    return value


Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="ID",
        help="A bundle: path, builtin/NAME or org/name[@revision] of a hub.",
    ),
]
Inputs = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[IMAGE|FOLDER|ARRAY]...",
        help="Own inputs; without any, the test images of the model's data set.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Values that differ, as train.epochs=5."),
]
Sigmas = Annotated[
    list[float] | None,
    typer.Option(
        "--sigma", help="Noise level; may be repeated.", show_default="all of the recipe"
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Schedule of the recipe, such as short or published.",
        show_default="the first",
    ),
]
RecipeSeed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=0,
        max=2**63 - 1,
        help="Seed of everything random.",
        show_default="0, or the bundle's",
    ),
]

Alpha = Annotated[float, budget(callback=_probability, help="Failure probability per input.")]
NoiseSeed = Annotated[
    int | None,
    budget(
        "--seed",
        min=0,
        max=2**63 - 1,
        help="Seed of all noise.",
        show_default="random, or with --resume the log's",
    ),
]

RecipeData = Annotated[
    str | None,
    data(
        "--dataset",
        metavar="DATA",
        help="A data set's name, a folder of class folders, or an .npz file.",
        show_default="digits, or the bundle's",
    ),
]
TestData = Annotated[
    str | None,
    data(
        "--dataset",
        metavar="NAME|PATH",
        help="Whose test images.",
        show_default="those of the model's data set",
    ),
]
Skip = Annotated[
    int | None,
    data(
        metavar="N",
        parser=count(),
        help="Take every N-th test image.",
        show_default="so that about 500 are",
    ),
]
Limit = Annotated[int | None, data(metavar="N", parser=count(), help="At most so many inputs.")]
Resize = Annotated[bool, data("--resize", help="Scale images to the model's size.")]
DataRoot = Annotated[
    Path | None,
    data(
        metavar="FOLDER",
        help="Where the data sets are.",
        envvar="RSZOO_DATA",
        show_default="a cache folder",
    ),
]
Download = Annotated[bool, data("--download", help="Fetch a missing data set.")]

Device = Annotated[str | None, where(help="cpu, cuda, cuda:1, ...", show_default="a GPU if any")]
Devices = Annotated[
    str | None,
    where(
        "--device",
        help="cpu, cuda, cuda:1; several: cuda:0,cuda:1.",
        show_default="a GPU if any",
    ),
]
Engine = Annotated[
    str, where(metavar="local|ray", help="In processes of this machine, or on a Ray cluster.")
]
Address = Annotated[
    str | None,
    where(
        metavar="HOST:PORT",
        help="With --engine ray: the cluster's.",
        show_default="one on this machine",
    ),
]

ResumeLog = Annotated[bool, output("--resume", help="Continue the log.")]
Json = Annotated[bool, output("--json", help="Print JSON, and nothing else, to stdout.")]

Precision = Annotated[
    str,
    advanced(
        callback=_precision, help="auto, float32 or bfloat16. auto: bfloat16 where it is fast."
    ),
]
Capture = Annotated[
    bool,
    advanced(
        "--capture/--no-capture",
        help="Replay training steps from CUDA graphs.",
        show_default="where they can be, on a GPU",
    ),
]
FusedAttacks = Annotated[
    bool | None,
    advanced(
        "--fused/--no-fused",
        help="Evaluate attacks within steps by fused kernels.",
        show_default="where they fit, on a GPU",
    ),
]

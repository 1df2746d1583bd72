"""`rszoo train`: from recipe to bundles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from rszoo_cli.console import err, out
from rszoo_cli.options import (
    Capture,
    DataRoot,
    Device,
    Download,
    FusedAttacks,
    Json,
    Overrides,
    Precision,
    Profile,
    RecipeData,
    RecipeSeed,
    Sigmas,
)
from rszoo_cli.panels import advanced, output

__all__ = ["train"]


_Recipe = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="A recipe's file or name, or a bundle's folder."),
]
_Out = Annotated[
    Path, output("--out", metavar="FOLDER", help="Of the bundles and the MLflow store.")
]
_Resume = Annotated[bool, output("--resume", help="Keep what is finished, continue what is not.")]
_Overwrite = Annotated[
    bool,
    output(
        "--overwrite",
        help="Train again what is there; with --resume, only what other recipes, data or models "
        "made.",
    ),
]
_Half = Annotated[bool, advanced("--half", help="Store the weights in float16: half the size.")]


def train(
    recipe: _Recipe,
    overrides: Overrides = None,
    sigmas: Sigmas = None,
    profile: Profile = None,
    seed: RecipeSeed = None,
    dataset: RecipeData = None,
    data_root: DataRoot = None,
    download: Download = False,
    device: Device = None,
    out_folder: _Out = Path("runs"),
    resume: _Resume = False,
    overwrite: _Overwrite = False,
    json: Json = False,
    precision: Precision = "auto",
    capture: Capture = True,
    fused: FusedAttacks = None,
    half: _Half = False,
) -> None:
    """Train a recipe: one tracked run and one bundle per noise level.

    A bundle stands for the recipe in it, which trains that model again.

    Example:

        rszoo train recipes/cat_rs.yaml --dataset mnist --sigma 0.5 --profile short

        rszoo train runs/mnist-cat_rs-0.50 --out again
    """
    from rszoo.training.recipes.files import load_recipe

    recipes = load_recipe(recipe).resolve_all(
        dataset=dataset, sigmas=sigmas, profile=profile, overrides=overrides or (), seed=seed
    )
    from rszoo.training.distributed import is_main_process
    from rszoo.training.recipes.next_step import next_step
    from rszoo.training.run import train as train_recipes
    from rszoo_cli.train_shown import Shown

    bundles = train_recipes(
        recipes,
        out=out_folder,
        data_root=data_root,
        download=download,
        device=device,
        precision=precision,
        half=half,
        capture=capture,
        fused=fused,
        resume=resume,
        overwrite=overwrite,
        observer=Shown(),
    )
    if is_main_process():
        paths = [str(bundle.path) for bundle in bundles]
        _print_bundles(paths, [next_step(made, out_folder) for made in recipes], json=json)


def _print_bundles(paths: Sequence[str], next_steps: Sequence[str], *, json: bool) -> None:
    if json:
        out.print_json(data=paths)
        return
    for path in paths:
        out.print(path, highlight=False, soft_wrap=True)
    for step in next_steps:
        err.print(step, highlight=False, markup=False, soft_wrap=True)

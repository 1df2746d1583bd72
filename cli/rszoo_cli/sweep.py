"""`rszoo sweep`: recipes, noise levels and seeds at once."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rszoo_cli.console import err
from rszoo_cli.options import (
    Address,
    Capture,
    DataRoot,
    Download,
    FusedAttacks,
    Json,
    Precision,
    Profile,
    RecipeData,
    Sigmas,
)
from rszoo_cli.options import Engine as EngineName
from rszoo_cli.panels import output, where
from rszoo_cli.usage import engine_named
from rszoo_cli.values import count

if TYPE_CHECKING:
    from rszoo.training.recipes.recipe import Recipe
    from rszoo.training.sweep import Engine, Outcome

__all__ = ["sweep"]

_Arguments = Annotated[
    list[str],
    typer.Argument(
        metavar="RECIPE... [KEY=VALUE]...",
        help="Recipes' files or names, then values that differ, as train.epochs=5.",
        show_default=False,
    ),
]
_Seeds = Annotated[
    int, typer.Option(metavar="N", parser=count(), help="How many seeds: 0, 1, ...")
]
_Jobs = Annotated[
    int | None,
    where(
        metavar="N",
        parser=count(),
        help="Trainings at once.",
        show_default="one per GPU; without, one per core",
    ),
]
_Devices = Annotated[
    str | None,
    where(
        "--device", help="cpu, cuda, or some: cuda:0,cuda:1.", show_default="all GPUs there are"
    ),
]
_Out = Annotated[
    Path,
    output("--out", metavar="FOLDER", help="Of seed-0, seed-1, ... and the MLflow store."),
]


def sweep(
    arguments: _Arguments,
    sigmas: Sigmas = None,
    seeds: _Seeds = 1,
    profile: Profile = None,
    dataset: RecipeData = None,
    data_root: DataRoot = None,
    download: Download = False,
    jobs: _Jobs = None,
    device: _Devices = None,
    engine: EngineName = "local",
    address: Address = None,
    out_folder: _Out = Path("runs"),
    json: Json = False,
    precision: Precision = "auto",
    capture: Capture = True,
    fused: FusedAttacks = None,
) -> None:
    """Train every recipe at every noise level with every seed, several at a time.

    Each training is a process, and a run under the sweep's own in MLflow. The same command again
    keeps what is finished and continues what is not. One that fails does not stop the others; its
    log is named, and the exit code is 1.

    Example:

        rszoo sweep gaussian cat_rs --sigma 0.25 --sigma 0.5 --seeds 3 --out runs/sweep
    """
    where = _engine(engine, address, device, jobs)
    files = [one for one in arguments if "=" not in one]
    if not files:
        raise typer.BadParameter("expected a recipe, got values only")
    recipes = _resolved(
        files,
        sigmas=sigmas,
        seeds=seeds,
        dataset=dataset,
        profile=profile,
        overrides=[one for one in arguments if "=" in one],
    )
    from rszoo.training.sweep import sweep as train_all
    from rszoo_cli.sweep_shown import Shown, show_outcomes

    outcomes = train_all(
        recipes,
        out=out_folder,
        engine=where,
        data_root=data_root,
        download=download,
        precision=precision,
        capture=capture,
        fused=fused,
        observer=Shown(),
    )
    show_outcomes(outcomes, json=json)
    _conclude(outcomes)


def _engine(name: str, address: str | None, device: str | None, jobs: int | None) -> "Engine":
    """Return where the trainings run, as the options say it."""
    engine_named(name, address, device)
    if name == "ray" and jobs is not None:
        raise typer.BadParameter("--engine ray finds the devices: remove --jobs")
    from rszoo.training.sweep import Engine

    known = "ray" if name == "ray" else "local"
    return Engine(name=known, address=address, device=device, processes=jobs)


def _resolved(
    files: Sequence[str], *, sigmas: Sequence[float] | None, seeds: int, **values: Any
) -> "list[Recipe]":
    from rszoo.training.recipes.files import load_recipe

    recipes = [load_recipe(file) for file in files]
    return [
        recipe.resolve(sigma=sigma, seed=seed, **values)
        for recipe in recipes
        for sigma in dict.fromkeys(sigmas or recipe.sigmas(values["dataset"]))
        for seed in range(seeds)
    ]


def _conclude(outcomes: "Sequence[Outcome]") -> None:
    """Name what went wrong, which makes the exit code 1; else say what comes next."""
    wrong = [one for one in outcomes if one.bundle is None]
    for one in wrong:
        told = f"; its log: {one.job.log}" if one.status == "failed" else ""
        err.print(
            f"{one.job.label}: {one.status}: {one.problem}{told}",
            style="red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if wrong:
        raise typer.Exit(1)
    certify = f"rszoo certify --attach --model {outcomes[0].job.path}"
    err.print(f"certify each with: {certify}", markup=False, highlight=False, soft_wrap=True)

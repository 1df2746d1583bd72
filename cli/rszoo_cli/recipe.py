"""`rszoo recipe`: list, show, copy and check recipes."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from rszoo_cli.help import Command, Group
from rszoo_cli.options import Json, Overrides, Profile, RecipeData, RecipeSeed, Sigmas

__all__ = ["app"]

app = typer.Typer(cls=Group, no_args_is_help=True, help="List, show, copy and check recipes.")

Name = Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, or a recipe file.")]


@app.command("ls", cls=Command)
def list_recipes(as_json: Json = False) -> None:
    """List the recipes that come with rszoo.

    Example:

        rszoo recipe ls
    """
    from rszoo.training.recipes.file import OTHER
    from rszoo.training.recipes.files import load_recipe
    from rszoo.training.recipes.shipped import recipe_names

    rows = []
    for name in recipe_names():
        file = load_recipe(name)
        datasets = [dataset for dataset in file.content.datasets if dataset != OTHER]
        sigmas = {sigma for dataset in file.content.datasets for sigma in file.sigmas(dataset)}
        profiles = {p: None for dataset in datasets for p in file.profiles(dataset)}
        rows.append(
            {
                "name": name,
                "method": file.method,
                "paper": f"{file.content.paper.authors} ({file.content.paper.year})",
                "datasets": datasets,
                "sigmas": sorted(sigmas),
                "profiles": sorted(profiles),
            }
        )
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        _print_table(rows)


def _cited(paper: str) -> str:
    """Return "Zhai et al. (2020)" for "Zhai, Dan, He (2020)".

    >>> _cited("Jeong, Shin (2020)")
    'Jeong and Shin (2020)'
    """
    authors, _, year = paper.rpartition(" ")
    names = authors.split(", ")
    return f"{' and '.join(names) if len(names) < 3 else f'{names[0]} et al.'} {year}"


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from rszoo.data import names
    from rszoo_cli.console import out, print_listing

    table = Table(box=None, pad_edge=False)
    for heading in ("method", "paper", "data sets", "sigmas", "profiles"):
        table.add_column(heading)
    for row in rows:
        datasets = _listed(row["datasets"], of=names())
        cells = [row["name"], _cited(row["paper"]), datasets, row["sigmas"], row["profiles"]]
        table.add_row(*(" ".join(map(str, c)) if isinstance(c, list) else str(c) for c in cells))
    print_listing(table)
    out.print(f"\nall data sets: {' '.join(names())}; any other name or path as well")


def _listed(names: list[str], *, of: list[str]) -> str | list[str]:
    """Return names, or what they are of a list where that is shorter.

    >>> _listed(["b", "a"], of=["a", "b", "c"])
    'all but c'
    """
    missing = [name for name in of if name not in names]
    if not missing:
        return "all"
    return f"all but {' '.join(missing)}" if len(missing) < len(names) else names


@app.command("show", cls=Command)
def show_recipe(
    name: Name,
    overrides: Overrides = None,
    dataset: RecipeData = None,
    sigma: Sigmas = None,
    profile: Profile = None,
    seed: RecipeSeed = None,
    as_json: Json = False,
) -> None:
    """Show what a recipe comes to: every value of each run, and its digest.

    Example:

        rszoo recipe show cat_rs --dataset mnist --sigma 0.5 train.epochs=20
    """
    from rszoo import networks
    from rszoo.training.recipes.files import load_recipe

    file = load_recipe(name)
    recipes = [
        file.resolve(
            dataset=dataset, sigma=one, profile=profile, overrides=overrides or (), seed=seed
        )
        for one in sigma or file.sigmas(dataset)
    ]
    for network in {recipe.network.name for recipe in recipes}:
        networks.check_known(network)
    if as_json:
        rows = [{"name": r.name, "digest": r.digest, "recipe": r.model_dump()} for r in recipes]
        typer.echo(json.dumps(rows, indent=2))
    else:
        texts = [f"# {r.name}\n# digest {r.digest}\n{r.to_yaml()}" for r in recipes]
        typer.echo("---\n".join(texts), nl=False)


@app.command("cp", cls=Command)
def copy_recipe(
    name: Name,
    destination: Annotated[
        Path | None, typer.Argument(help="File or folder. Default: NAME.yaml here.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Copy a recipe, to edit it.

    Example:

        rszoo recipe cp cat_rs my_cat_rs.yaml
    """
    from rszoo.training.recipes.files import copy_recipe as copy

    typer.echo(copy(name, destination, overwrite=force))


@app.command("validate", cls=Command)
def validate_recipes(
    files: Annotated[
        list[str], typer.Argument(metavar="RECIPE...", help="Recipe files, or names of recipes.")
    ],
) -> None:
    """Check recipes: every data set, sigma and profile, all problems at once.

    Example:

        rszoo recipe validate my_cat_rs.yaml
    """
    from rszoo.errors import RecipeError
    from rszoo.training.recipes.files import load_recipe

    problems = []
    for name in files:
        try:
            file = load_recipe(name)
        except RecipeError as error:
            problems += [f"{name}: {line}" for line in error.problems]
            continue
        found = file.problems()
        problems += [f"{name}: {line}" for line in found]
        if not found:
            typer.echo(f"{name}: valid")
    if problems:
        raise RecipeError(problems)

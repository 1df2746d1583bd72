"""Recipe files: one YAML per method, found by path or name.

The recipe of a bundle, which is resolved, is a recipe file of one data set and one sigma.
"""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

import rszoo
from rszoo._files import write_bytes_atomically
from rszoo._yaml import parse_yaml
from rszoo.errors import RecipeError, RszooError, did_you_mean
from rszoo.training.recipes.file import OTHER, RecipeFile
from rszoo.training.recipes.layers import Content, DataSet, Values, contradictions, merge, twice
from rszoo.training.recipes.problems import explain, show
from rszoo.training.recipes.recipe import make_recipe

__all__ = ["copy_recipe", "load_recipe", "recipe_names", "recipe_path"]


def load_recipe(path_or_name: str | Path) -> RecipeFile:
    """Read a recipe file: a path, the name of a recipe that comes with rszoo, or a bundle.

    Args:
        path_or_name: a bundle is named by its folder, or is `builtin/NAME`.

    Raises:
        RecipeError: no such file or name, or the file is not a recipe.
    """
    source = str(path_or_name)
    path = _locate(path_or_name)
    try:
        values = parse_yaml(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise RecipeError([f"cannot be read: {error.strerror}"], source=str(path)) from None
    except UnicodeDecodeError:
        raise RecipeError(
            ["expected YAML text in UTF-8, got other bytes"], source=source
        ) from None
    except ValueError as error:
        raise RecipeError([str(error)], source=source) from None
    if not isinstance(values, dict):
        what = "an empty file" if values is None else show(values)
        raise RecipeError([f"expected a mapping with the key 'method', got {what}"], source=source)
    if "sigma" in values and "datasets" not in values:
        return _of_one_run(values, source)
    try:
        content = Content.model_validate(values)
    except ValidationError as error:
        raise RecipeError(explain(error, Content), source=source) from None
    if problems := contradictions(content):
        raise RecipeError(problems, source=source)
    return RecipeFile(source, content)


def _of_one_run(values: dict[str, Any], source: str) -> RecipeFile:
    """Return a resolved recipe as a recipe file that holds nothing else.

    A data set of the user's own may lie elsewhere by now: any path will do.
    """
    from rszoo.data import names

    if problems := twice(values):
        raise RecipeError(problems, source=source)
    merged, origins = merge([("", values)])
    recipe, problems = make_recipe(merged, place=lambda path: origins.get(path, path))
    if recipe is None:
        raise RecipeError(problems, source=source)
    dataset = recipe.dataset if recipe.dataset in names() else OTHER
    values = recipe.model_dump()
    block = {key: values[key] for key in ("profile", *Values.model_fields) if key in values}
    content = Content(
        method=recipe.method,
        version=recipe.version,
        paper=load_recipe(recipe.method).content.paper,
        sigmas=[recipe.sigma],
        datasets={dataset: DataSet.model_validate(block)},
    )
    return RecipeFile(source, content, dataset=recipe.dataset, seed=recipe.seed)


def _folder() -> Path:
    """Return the folder of the recipes: inside the installed package, else in the checkout."""
    package = Path(rszoo.__file__).parent
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parents[1] / "recipes"


def _locate(path_or_name: str | Path) -> Path:
    """Return the file: an existing path wins over the name of a recipe that comes with rszoo."""
    from rszoo.hub.catalog import builtin_names, find

    source, path = str(path_or_name), Path(path_or_name)
    if source in builtin_names():
        path = find(source).path
    if path.exists() and not (path.is_dir() and source in recipe_names()):
        return path / "recipe.yaml" if path.is_dir() else path
    if source in recipe_names():
        return recipe_path(source)
    hint = did_you_mean(source, recipe_names())
    raise RecipeError(
        [f"no such file{hint}; the recipes that come with rszoo are {recipe_names()}"],
        source=source,
    )


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with rszoo."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def recipe_path(name: str) -> Path:
    """Return the file of a recipe that comes with rszoo.

    Raises:
        RecipeError: no such recipe.
    """
    if name not in recipe_names():
        raise RecipeError([f"no such recipe; expected one of {recipe_names()}"], source=name)
    return _folder() / f"{name}.yaml"


def copy_recipe(
    path_or_name: str | Path, destination: Path | None = None, *, overwrite: bool = False
) -> Path:
    """Copy a recipe file, comments and all, and return the new file.

    Args:
        path_or_name: as `load_recipe` takes.
        destination: a file or a folder; None for the current folder.
        overwrite: replace an existing file.

    Raises:
        RecipeError: no such recipe.
        RszooError: the new file exists already, or cannot be written.
    """
    path = _locate(path_or_name)
    target = destination if destination is not None else Path(path.name)
    if target.is_dir():
        target /= path.name
    if target.exists() and not overwrite:
        raise RszooError(f"{str(target)!r} exists already; give another name, or --force")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RszooError(f"cannot read {str(path)!r}: {error.strerror}") from error
    write_bytes_atomically(target, content)
    return target

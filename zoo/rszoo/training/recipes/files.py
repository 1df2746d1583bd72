"""Recipe files: one YAML per method, found by path or name.

The recipe of a bundle, which is resolved, is a recipe file of one data set and one sigma.
"""

import warnings
from pathlib import Path
from typing import Any

from rszoo._files import write_bytes_atomically
from rszoo.errors import RecipeError, RszooError, did_you_mean
from rszoo.training.recipes.file import OTHER, RecipeFile
from rszoo.training.recipes.layers import Content, DataSet, Values, merge, twice
from rszoo.training.recipes.recipe import make_recipe
from rszoo.training.recipes.shipped import (
    content_of,
    read_values,
    recipe_names,
    recipe_path,
)

__all__ = ["copy_recipe", "load_recipe"]


def load_recipe(path_or_name: str | Path) -> RecipeFile:
    """Read a recipe file: a path, the name of a recipe that comes with rszoo, or a bundle.

    Args:
        path_or_name: a bundle is named by its folder, or is `builtin/NAME`.

    Raises:
        RecipeError: no such file or name, or the file is not a recipe.

    Warns:
        UserWarning: the path `recipes/NAME.yaml` of a checkout is taken for the recipe's name.
    """
    source = str(path_or_name)
    path = _locate(path_or_name)
    values = read_values(path, source=source)
    if "sigma" in values and "datasets" not in values:
        return _of_one_run(values, source)
    return RecipeFile(source, content_of(values, source=source))


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


def _locate(path_or_name: str | Path) -> Path:
    """Return the file: an existing path wins over the name of a recipe that comes with rszoo.

    `recipes/NAME.yaml` is where it lies in a checkout; elsewhere it stands for the name.
    """
    from rszoo.hub.catalog import builtin_names, find

    source, path = str(path_or_name), Path(path_or_name)
    if source in builtin_names():
        path = find(source).path
    if path.exists() and not (path.is_dir() and source in recipe_names()):
        return path / "recipe.yaml" if path.is_dir() else path
    if source in recipe_names():
        return recipe_path(source)
    if path.parent == Path("recipes") and path.name in {f"{name}.yaml" for name in recipe_names()}:
        warnings.warn(
            f"no file {source} here: the recipe {path.stem} that comes with rszoo is taken",
            stacklevel=3,
        )
        return recipe_path(path.stem)
    hint = did_you_mean(source, recipe_names())
    raise RecipeError(
        [f"no such file{hint}; the recipes that come with rszoo are {recipe_names()}"],
        source=source,
    )


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

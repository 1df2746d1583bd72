"""The recipe files that come with rszoo, and how any recipe file is read."""

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import rszoo
from rszoo._yaml import parse_yaml
from rszoo.errors import RecipeError
from rszoo.training.recipes.layers import Content, contradictions
from rszoo.training.recipes.problems import explain, show

__all__ = ["content_of", "read_values", "recipe_names", "recipe_path", "shipped_content"]


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


@cache
def shipped_content(method: str) -> Content | None:
    """Return the recipe of a method that comes with rszoo, or None where there is none."""
    if method not in recipe_names():
        return None
    path = recipe_path(method)
    return content_of(read_values(path, source=method), source=method)


def read_values(path: Path, *, source: str) -> dict[str, Any]:
    """Read the values of a recipe file, unjudged.

    Args:
        path: of the file.
        source: the file or the name that the user gave, for messages.

    Raises:
        RecipeError: it cannot be read, or is not a YAML mapping.
    """
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
    return values


def content_of(values: dict[str, Any], *, source: str) -> Content:
    """Return the content of a recipe file, from its values.

    Raises:
        RecipeError: the values are not those of a recipe file.
    """
    try:
        content = Content.model_validate(values)
    except ValidationError as error:
        raise RecipeError(explain(error, Content), source=source) from None
    if problems := contradictions(content):
        raise RecipeError(problems, source=source)
    return content


def _folder() -> Path:
    """Return the folder of the recipes: inside the installed package, else in the checkout."""
    package = Path(rszoo.__file__).parent
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parents[1] / "recipes"

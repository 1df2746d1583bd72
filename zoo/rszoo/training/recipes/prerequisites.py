"""The models that a training takes: bundles that exist, or that other recipes train first."""

from pathlib import Path

from rszoo.theory.rounding import as_stated
from rszoo.training.recipes.files import load_recipe
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.recipes.sections.base import TrainedBy

__all__ = ["model_ids", "models_of", "prerequisite_recipe", "prerequisites", "trained_first"]


def models_of(recipe: Recipe) -> dict[str, list[str | Recipe]]:
    """Return the models that a training takes, by section, in the order of its task.

    Returns:
        Ids of bundles, and recipes of those that are trained first if they are not there.

    Raises:
        RecipeError: a method's recipe has no such sigma.
    """

    def resolved(model: str | TrainedBy) -> str | Recipe:
        if isinstance(model, str):
            return model
        return prerequisite_recipe(recipe, method=model.method, sigma=model.sigma)

    return {
        key: [resolved(model) for model in section.models(recipe.sigma)]
        for key, section in recipe.sections.items()
    }


def prerequisites(recipe: Recipe) -> list[Recipe]:
    """Return the recipes of the models that are trained before one, if they are not there.

    Raises:
        RecipeError: a method's recipe has no such sigma.
    """
    found = [model for models in models_of(recipe).values() for model in models]
    return [model for model in found if isinstance(model, Recipe)]


def trained_first(recipe: Recipe, out: Path) -> str:
    """Return which models are going to be trained before one, in words; "" for none.

    Args:
        recipe: of the training.
        out: its output folder.
    """
    missing = [
        f"{model.name} ({section}, sigma {as_stated(model.sigma)})"
        for section, models in models_of(recipe).items()
        for model in models
        if isinstance(model, Recipe) and not (out / model.name).exists()
    ]
    models = "another model" if len(missing) == 1 else f"{len(missing)} other models"
    return f"takes {models}, trained first: {', '.join(missing)}" if missing else ""


def prerequisite_recipe(recipe: Recipe, *, method: str, sigma: float) -> Recipe:
    """Return the recipe of a model that `recipe` builds on: same data, profile and seed.

    Where the method's recipe has no profile of that name, as for a schedule of the user's own, it
    is the first that it has.

    Raises:
        RecipeError: the method's recipe has no such sigma.
    """
    file = load_recipe(method)
    profile = recipe.profile if recipe.profile in file.profiles(recipe.dataset) else None
    return file.resolve(dataset=recipe.dataset, sigma=sigma, profile=profile, seed=recipe.seed)


def model_ids(recipe: Recipe, out: Path) -> dict[str, list[str]]:
    """Return the ids of the models that a training takes, by section, as `rszoo.load` takes them.

    Args:
        recipe: of the training.
        out: its output folder.
    """
    return {
        key: [model if isinstance(model, str) else str(out / model.name) for model in models]
        for key, models in models_of(recipe).items()
    }

"""Models that another training builds on: bundles in its output folder, trained if need be."""

from typing import TYPE_CHECKING, Any

from rszoo import methods
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.training.recipes.files import load_recipe
from rszoo.training.recipes.recipe import Recipe

if TYPE_CHECKING:
    from rszoo.training.trainer import Trainer

__all__ = [
    "check_same_data",
    "expert_recipes",
    "parent_of",
    "prerequisite",
    "prerequisite_recipe",
    "prerequisites",
    "target_recipe",
]


def prerequisites(recipe: Recipe) -> list[Recipe]:
    """Return the recipes of the models that are trained before one, if they are not there.

    Raises:
        RecipeError: the method's recipe has no such profile or sigma.
    """
    targets = [] if recipe.targets is None else [target_recipe(recipe)]
    parts = recipe.parts
    mixed = [] if parts is None else [(parts.standard, 0.0), (parts.robust, recipe.sigma)]
    return [
        *targets,
        *expert_recipes(recipe),
        *(
            prerequisite_recipe(recipe, method=name, sigma=sigma)
            for name, sigma in mixed
            if name in methods.names()
        ),
    ]


def target_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe of the network that a method's soft targets come from."""
    assert recipe.targets is not None  # the recipe has checked it
    return prerequisite_recipe(recipe, method="gaussian", sigma=recipe.targets.sigma)


def expert_recipes(recipe: Recipe) -> list[Recipe]:
    """Return the recipes of a router's experts; none where bundles are named instead."""
    spec = recipe.experts
    if spec is None or spec.method is None:
        return []
    return [
        prerequisite_recipe(recipe, method=spec.method, sigma=sigma) for sigma in spec.sigmas or ()
    ]


def prerequisite_recipe(recipe: Recipe, *, method: str, sigma: float) -> Recipe:
    """Return the recipe of a model that `recipe` builds on: same data, profile and seed.

    Raises:
        RecipeError: the method's recipe has no such profile or sigma.
    """
    return load_recipe(method).resolve(
        dataset=recipe.dataset, sigma=sigma, profile=recipe.profile, seed=recipe.seed
    )


def prerequisite(trainer: "Trainer", recipe: Recipe) -> Bundle:
    """Return the bundle of a model that another builds on, training it if need be.

    Raises:
        RszooError: a bundle of that name was made by another recipe, or from other data or models.
    """
    bundle = trainer.existing(
        recipe, resume=True, overwrite=False, remedy=f"move {recipe.name} away"
    )
    trainer.processes.wait()  # nobody writes before everybody has looked
    return bundle or trainer.train(recipe)


def check_same_data(bundle: Bundle, trainer: "Trainer", recipe: Recipe) -> None:
    """Refuse a bundle for other inputs or classes than those of a training's data.

    Raises:
        RszooError: it is.
    """
    config, images = bundle.of_network, trainer.images
    if (config.input_shape, config.class_names) != (images.shape, images.class_names):
        raise RszooError(
            f"{bundle.id}: expected a model for the inputs and classes of {recipe.dataset!r}, got "
            f"one for others ({config.dataset!r})"
        )


def parent_of(bundle: Bundle, *, sigma: float | None = None) -> dict[str, Any]:
    """Return how a bundle's origin names another, at another noise level than its own if so."""
    parent = {"name": bundle.config.name, "weights_sha256": bundle.weights_digest}
    return parent if sigma is None else {**parent, "sigma": sigma}

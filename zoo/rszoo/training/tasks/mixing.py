"""The task of a mixing network: to tell from what two models answer which of them to listen to."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rszoo import methods
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import find
from rszoo.networks.execution import place
from rszoo.networks.mixing import Mix
from rszoo.training.prerequisites import (
    check_same_data,
    parent_of,
    prerequisite,
    prerequisite_recipe,
)
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.recipes.sections import PartsSpec
from rszoo.training.tasks.task import Task

if TYPE_CHECKING:
    from rszoo.training.trainer import Trainer

__all__ = ["mixing", "part_ids"]


def mixing(trainer: "Trainer", recipe: Recipe) -> Task:
    """Return the task of a mixing network, training the models that it weighs if need be.

    Raises:
        RszooError: one of them is not there or does not fit.
    """
    spec = _spec(recipe)
    standard = _part(trainer, recipe, spec.standard, kind="standard", sigma=0.0)
    robust = _part(trainer, recipe, spec.robust, kind="smoothed", sigma=recipe.sigma)
    return Task(
        images=trainer.images,
        test_images=trainer.test_images,
        per_example={},
        parents=[parent_of(standard), parent_of(robust)],
        kind="weight",
        beside=partial(
            Mix,
            standard=place(standard.network(), trainer.device),
            robust=place(robust.network(), trainer.device),
        ),
        noise=0.0,
    )


def part_ids(recipe: Recipe, out: Path) -> tuple[str, str]:
    """Return the ids of the standard and the robust part, as `rszoo.load` takes them.

    Args:
        recipe: the mixing network's.
        out: its output folder.
    """
    spec = _spec(recipe)
    given = ((spec.standard, 0.0), (spec.robust, recipe.sigma))
    standard, robust = (
        str(out / _recipe(recipe, name, sigma).name) if name in methods.names() else name
        for name, sigma in given
    )
    return standard, robust


def _spec(recipe: Recipe) -> PartsSpec:
    assert recipe.parts is not None  # the recipe has checked it
    return recipe.parts


def _recipe(recipe: Recipe, method: str, sigma: float) -> Recipe:
    return prerequisite_recipe(recipe, method=method, sigma=sigma)


def _part(trainer: "Trainer", recipe: Recipe, name: str, *, kind: str, sigma: float) -> Bundle:
    if name in methods.names():
        return prerequisite(trainer, _recipe(recipe, name, sigma))
    bundle = find(name)
    config = bundle.of_network
    if (config.kind, config.sigma) != (kind, sigma):
        raise RszooError(
            f"{bundle.id}: expected a {kind} bundle of sigma {sigma:g}, got a {config.kind} one "
            f"of sigma {config.sigma:g}; --sigma is that of the smoothed part"
        )
    check_same_data(bundle, trainer, recipe)
    return bundle

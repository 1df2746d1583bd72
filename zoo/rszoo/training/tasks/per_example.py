"""What methods ask for besides images and labels, by the name that they give it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rszoo.training.prerequisites import parent_of, prerequisite, target_recipe
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.tasks.votes import votes_of

if TYPE_CHECKING:
    from rszoo.training.trainer import Trainer

__all__ = ["PER_EXAMPLE", "PerExample"]


@dataclass(frozen=True)
class PerExample:
    """What a method asks for besides images and labels.

    Attributes:
        values: `[N, ...]`, one row per training image.
        parent: name and weights of the model that they come from, if they come from one.
    """

    values: Tensor
    parent: dict[str, str] | None = None


def _soft_targets(trainer: "Trainer", recipe: Recipe) -> PerExample:
    """Return CAT-RS's soft targets, training the network that they come from if need be."""
    assert recipe.targets is not None  # the recipe has checked it
    base = prerequisite(trainer, target_recipe(recipe))
    shares = votes_of(
        trainer,
        base,
        trainer.images,
        sigma=recipe.targets.sigma,
        draws=recipe.targets.draws,
        seed=recipe.seed,
    )
    return PerExample(shares, parent_of(base))


def _sigmas(trainer: "Trainer", recipe: Recipe) -> PerExample:
    """Return the recipe's noise level for every image."""
    return PerExample(_full(trainer, recipe.sigma))


def _sampling_weights(trainer: "Trainer", recipe: Recipe) -> PerExample:
    """Return equal weights."""
    return PerExample(_full(trainer, 1.0))


def _full(trainer: "Trainer", value: float) -> Tensor:
    return torch.full((len(trainer.images),), value, device=trainer.device)


#: Name of what a method takes or renews -> how its first values are made.
PER_EXAMPLE: dict[str, Callable[["Trainer", Recipe], PerExample]] = {
    "sampling_weights": _sampling_weights,
    "sigmas": _sigmas,
    "soft_targets": _soft_targets,
}

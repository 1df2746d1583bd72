"""What methods ask for besides images and labels, by the name that they give it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rszoo.hub.origin import Parent
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.setting import Setting
from rszoo.training.tasks.parents import parent_of
from rszoo.training.tasks.task import Models
from rszoo.training.tasks.votes import votes_of

__all__ = ["PER_EXAMPLE", "PerExample"]


@dataclass(frozen=True)
class PerExample:
    """The per-example data that a method needs besides images and labels.

    Attributes:
        values: `[N, ...]`, one row per training image.
        parent: name and weights of the model that they come from, if they come from one.
    """

    values: Tensor
    parent: Parent | None = None


def _soft_targets(setting: Setting, recipe: Recipe, models: Models) -> PerExample:
    """Return CAT-RS's soft targets: the votes of the network of the section `targets`."""
    assert recipe.targets is not None  # the recipe has checked it, where it has to be there
    (voter,) = models["targets"]
    shares = votes_of(
        setting,
        voter,
        setting.images,
        sigma=recipe.targets.sigma,
        draws=recipe.targets.draws,
        seed=recipe.seed,
    )
    return PerExample(shares, parent_of(voter))


def _sigmas(setting: Setting, recipe: Recipe, models: Models) -> PerExample:
    """Return the recipe's noise level for every image."""
    del models
    return PerExample(_full(setting, recipe.sigma))


def _sampling_weights(setting: Setting, recipe: Recipe, models: Models) -> PerExample:
    """Return equal weights for all images, or for those that an earlier network knows."""
    if recipe.targets is None:
        return PerExample(_full(setting, 1.0))
    votes = _soft_targets(setting, recipe, models)
    right = votes.values.gather(1, setting.images.labels.to(setting.device).unsqueeze(1))
    kept = right.squeeze(1) >= recipe.weights["threshold"]
    return PerExample(kept.float(), votes.parent)


def _full(setting: Setting, value: float) -> Tensor:
    return torch.full((len(setting.images),), value, device=setting.device)


#: Name of what a method takes or renews -> how its first values are made.
PER_EXAMPLE: dict[str, Callable[[Setting, Recipe, Models], PerExample]] = {
    "sampling_weights": _sampling_weights,
    "sigmas": _sigmas,
    "soft_targets": _soft_targets,
}

"""What the bundle of a finished training says of its network, in `config.json`."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from rszoo import methods
from rszoo.data import ImageSet
from rszoo.hub.configs.network import LibraryConfig, NetworkConfig
from rszoo.training.recipes.recipe import Recipe

__all__ = ["Finished", "network_config"]


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A training that is done, before its bundle is written.

    Attributes:
        recipe: of the training.
        images: that it learned.
        network: what has learned.
        folder: of the bundle.
        precision: in which it was trained.
        half: whether its weights are stored in float16.
    """

    recipe: Recipe
    images: ImageSet
    network: nn.Module
    folder: Path
    precision: str
    half: bool


def network_config(finished: Finished) -> NetworkConfig:
    """Return the config of a bundle that holds a network whole."""
    recipe = finished.recipe
    return NetworkConfig.of(
        finished.images,
        kind=methods.trains(recipe.method),
        name=recipe.name,
        method=recipe.method,
        dataset=recipe.dataset,
        architecture=recipe.network.model_dump(),
        library=LibraryConfig.of(recipe.network.name),
        sigma=recipe.sigma,
        trained_precision=finished.precision,
    )

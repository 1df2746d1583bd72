"""The task of low-rank changes of a frozen network: to classify under noise, by any method."""

import hashlib
from dataclasses import replace
from functools import partial

from torch import nn

from rszoo.hub.bundle import Bundle
from rszoo.hub.configs.adapted import AdaptedConfig
from rszoo.hub.kinds.adapted import check_backbone
from rszoo.hub.parts import part_in
from rszoo.hub.writing import weights_of
from rszoo.networks.execution import place
from rszoo.networks.low_rank import Adapted, Adapters
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.recipes.sections.adapter import AdapterSpec
from rszoo.training.setting import Setting
from rszoo.training.tasks.classification import classification
from rszoo.training.tasks.finished import Finished
from rszoo.training.tasks.parents import check_same_data, check_same_network, parent_of
from rszoo.training.tasks.task import Models, Task

__all__ = ["adaptation"]


def adaptation(setting: Setting, recipe: Recipe, models: Models) -> Task:
    """Return the task of the changes of a backbone's weights.

    Raises:
        RszooError: the backbone is for other data, another network than the recipe's, or none.
    """
    (backbone,) = models["adapter"]
    check_backbone(backbone)
    check_same_data(backbone, setting, recipe)
    check_same_network(backbone, recipe)

    def adapters(network: nn.Module) -> nn.Module:
        adapted = Adapted(network, rank=_spec(recipe).rank, alpha=_spec(recipe).alpha)
        place(adapted, setting.device)
        return Adapters(adapted)

    task = classification(setting, recipe, models)
    return replace(
        task,
        start=backbone.network(),
        wrap=adapters,
        parents=[*task.parents, parent_of(backbone)],
        config=partial(_config, backbone),
    )


def _spec(recipe: Recipe) -> AdapterSpec:
    assert recipe.adapter is not None  # that is what the task is for
    return recipe.adapter


def _config(backbone: Bundle, finished: Finished) -> AdaptedConfig:
    """Return the config of a bundle that holds the changes alone."""
    recipe, spec = finished.recipe, _spec(finished.recipe)
    weights = weights_of(finished.network, half=finished.half)
    return AdaptedConfig(
        name=recipe.name,
        method=recipe.method,
        dataset=recipe.dataset,
        input_shape=backbone.config.input_shape,
        class_names=backbone.config.class_names,
        backbone=part_in(finished.folder, backbone),
        rank=spec.rank,
        alpha=spec.alpha,
        sigma=recipe.sigma,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
    )

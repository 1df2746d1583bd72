"""The task of a mixing network: to tell from what two models answer which of them to listen to."""

from functools import partial

from rszoo import methods
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.kinds.network import of_kind
from rszoo.networks.execution import place
from rszoo.networks.mixing import Mix
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.setting import Setting
from rszoo.training.tasks.parents import check_same_data, parent_of
from rszoo.training.tasks.task import Models, Task

__all__ = ["mixing"]


def mixing(setting: Setting, recipe: Recipe, models: Models) -> Task:
    """Return the task of a mixing network.

    Raises:
        RszooError: a model that it is to weigh does not fit.
    """
    standard, robust = models["parts"]
    _check(standard, setting, recipe, kind="standard", sigma=0.0)
    beside = "standard" if methods.without_noise(recipe.method) else "smoothed"
    _check(robust, setting, recipe, kind=beside, sigma=recipe.sigma)
    return Task(
        images=setting.images,
        test_images=setting.test_images,
        per_example={},
        parents=[parent_of(standard), parent_of(robust)],
        wrap=partial(
            Mix,
            standard=place(standard.network(), setting.device),
            robust=place(robust.network(), setting.device),
        ),
        noise=0.0,
    )


def _check(bundle: Bundle, setting: Setting, recipe: Recipe, *, kind: str, sigma: float) -> None:
    found = bundle.of_network.sigma
    wanted = f"expected a {kind} bundle of sigma {sigma:g}, got a {{kind}} one of sigma {found:g}"
    message = f"{wanted}; --sigma is that of the smoothed part"
    of_kind(bundle, kind, message)
    if found != sigma:
        raise RszooError(f"{bundle.id}: {message.format(kind=kind)}")
    check_same_data(bundle, setting, recipe)

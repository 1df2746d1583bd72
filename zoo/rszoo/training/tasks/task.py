"""What one network learns: images, what it is to answer to them, and what the method asks for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from rszoo import methods
from rszoo.data import ImageSet
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.tasks.per_example import PER_EXAMPLE

if TYPE_CHECKING:
    from rszoo.training.trainer import Trainer

__all__ = ["Task", "classification"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one network learns.

    Attributes:
        images, test_images: their labels are what the network is to answer.
        per_example: what the method asks for besides, by name, one row per training image.
        parents: name and weights of the models that labels or rows come from.
        kind: of the bundle.
        judged: the test images that have a right answer; None for all.
        beside: puts the network that learns beside others that it works with; None: it is alone.
        noise: noise level at which its accuracy is watched; None: the recipe's.
        start: the network to go on with; None begins anew.
        levels: noise level of each training image, `[N]`; None: the recipe's.
    """

    images: ImageSet
    test_images: ImageSet
    per_example: Mapping[str, Tensor]
    parents: list[dict[str, Any]]
    kind: Literal["smoothed", "router", "weight"] = "smoothed"
    judged: Tensor | None = None
    beside: Callable[[nn.Sequential], nn.Module] | None = None
    noise: float | None = None
    start: nn.Sequential | None = None
    levels: Tensor | None = None


def classification(trainer: "Trainer", recipe: Recipe) -> Task:
    """Return the task of a classifier: the data set as it is."""
    given = {need: PER_EXAMPLE[need](trainer, recipe) for need in methods.needs(recipe.method)}
    return Task(
        images=trainer.images,
        test_images=trainer.test_images,
        per_example={need: entry.values for need, entry in given.items()},
        parents=[entry.parent for entry in given.values() if entry.parent],
    )

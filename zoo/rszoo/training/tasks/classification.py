"""The usual task: to classify the images of the data set as they are labelled."""

from rszoo import methods
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.setting import Setting
from rszoo.training.tasks.per_example import PER_EXAMPLE
from rszoo.training.tasks.task import Models, Task

__all__ = ["classification"]


def classification(setting: Setting, recipe: Recipe, models: Models) -> Task:
    """Return the task of a classifier: the data set as it is."""
    given = [
        (need, PER_EXAMPLE[need](setting, recipe, models)) for need in methods.needs(recipe.method)
    ]
    return Task(
        images=setting.images,
        test_images=setting.test_images,
        per_example={need: entry.values for need, entry in given},
        parents=[entry.parent for _, entry in given if entry.parent],
    )

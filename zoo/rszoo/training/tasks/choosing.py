"""Which task a recipe is for: its sections say so."""

from collections.abc import Callable

from rszoo.training.recipes.recipe import Recipe
from rszoo.training.setting import Setting
from rszoo.training.tasks.adaptation import adaptation
from rszoo.training.tasks.classification import classification
from rszoo.training.tasks.denoising import denoising
from rszoo.training.tasks.fine_tuning import fine_tuning
from rszoo.training.tasks.mixing import mixing
from rszoo.training.tasks.routing import routing
from rszoo.training.tasks.task import Models, Task

__all__ = ["task_of"]

_TASKS: dict[str, Callable[[Setting, Recipe, Models], Task]] = {
    task.__name__: task for task in (adaptation, denoising, fine_tuning, mixing, routing)
}


def task_of(setting: Setting, recipe: Recipe, models: Models) -> Task:
    """Return what the network of a recipe is to learn.

    Args:
        setting: of the training.
        recipe: of the training.
        models: the finished models that the recipe's sections say.

    Raises:
        RszooError: a model does not fit.
    """
    chosen = [section.task for section in recipe.sections.values() if section.task is not None]
    return (_TASKS[chosen[0]] if chosen else classification)(setting, recipe, models)

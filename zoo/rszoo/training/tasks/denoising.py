"""The task of a denoiser: images that a given classifier recognises."""

from dataclasses import replace
from functools import partial

from rszoo.hub.kinds import kind_of
from rszoo.networks.denoised import Denoising
from rszoo.networks.execution import place
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.setting import Setting
from rszoo.training.tasks.parents import check_same_data, parent_of
from rszoo.training.tasks.task import Models, Task

__all__ = ["denoising"]


def denoising(setting: Setting, recipe: Recipe, models: Models) -> Task:
    """Return the task of a denoiser.

    Raises:
        RszooError: the classifier that it is for does not fit, or is none.
    """
    (classifier,) = models["denoised"]
    check_same_data(classifier, setting, recipe)
    network = place(kind_of(classifier).network(classifier), setting.device)
    # A denoiser gives images in [0, 1], as it takes them: the classifier normalises.
    images, test_images = (
        replace(one, normalization=None) for one in (setting.images, setting.test_images)
    )
    return Task(
        images=images,
        test_images=test_images,
        per_example={},
        parents=[parent_of(classifier)],
        wrap=partial(Denoising, classifier=network),
    )

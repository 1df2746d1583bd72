"""The task of a router: to tell from an image which of its experts certifies it furthest.

What the experts certify is found with few draws, once per image: the labels of a training need no
guarantee. (For one image and one expert the radius has it: the class whose votes are counted is
the image's label, known before any draw. The largest of several such radii has none.)
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rszoo.data import ImageSet
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import find
from rszoo.hub.kinds.network import of_kind
from rszoo.theory.bounds import clopper_pearson_lower
from rszoo.theory.radii import certified_radius
from rszoo.training.prerequisites import check_same_data, expert_recipes, parent_of, prerequisite
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.recipes.sections import ExpertsSpec
from rszoo.training.tasks.task import Task
from rszoo.training.tasks.votes import votes_of

if TYPE_CHECKING:
    from rszoo.training.trainer import Trainer

__all__ = ["balanced_weights", "expert_ids", "radii_of_labels", "routing"]

# A bundle, and the noise level at which it serves; None for its own.
_Expert = tuple[Bundle, float | None]


def routing(trainer: "Trainer", recipe: Recipe) -> Task:
    """Return the task of a router, training its experts if need be.

    Raises:
        RszooError: an expert is not there or does not fit, or none certifies any image.
    """
    experts = _experts(trainer, recipe)
    names = [_name(*expert) for expert in experts]
    radii = _expert_radii(trainer, recipe, experts, trainer.images)
    test_radii = _expert_radii(trainer, recipe, experts, trainer.test_images)
    return Task(
        images=trainer.images.relabelled(radii.argmax(1), names),
        test_images=trainer.test_images.relabelled(test_radii.argmax(1), names),
        per_example={"expert_radii": radii, "example_weights": balanced_weights(radii)},
        parents=[parent_of(expert, sigma=sigma) for expert, sigma in experts],
        kind="router",
        judged=test_radii.any(1).nonzero()[:, 0],
    )


def expert_ids(recipe: Recipe, out: Path) -> list[str]:
    """Return the ids of a router's experts, as `rszoo.load` takes them.

    Args:
        recipe: the router's.
        out: its output folder.
    """
    return _spec(recipe).bundles or [str(out / expert.name) for expert in expert_recipes(recipe)]


def radii_of_labels(
    shares: Tensor, labels: Tensor, *, draws: int, sigma: float, alpha: float
) -> Tensor:
    """Return the radius at which each image's label is certified, `[N]`; 0 where it is not.

    Args:
        shares: vote shares, `[N, classes]`.
        labels: `[N]`.
        draws: votes per image.
        sigma: noise level of the votes.
        alpha: failure probability of each radius.
    """
    bounds = (clopper_pearson_lower(votes, draws, alpha) for votes in range(draws + 1))
    table = torch.tensor([certified_radius(bound, sigma) for bound in bounds])
    votes = shares.gather(1, labels.unsqueeze(1)).squeeze(1) * draws
    return table.to(shares.device)[votes.round().long()]


def balanced_weights(radii: Tensor) -> Tensor:
    """Return a weight per image, `[N]` with mean 1, that gives each expert the same total.

    Args:
        radii: `[N, K]`; an image of zeros has weight 0, and not all of them are.
    """
    served, best = radii.any(1), radii.argmax(1)
    counts = torch.bincount(best[served], minlength=radii.shape[1])
    weights = served / counts[best].clamp(min=1)
    return weights * (len(weights) / weights.sum())


def _spec(recipe: Recipe) -> ExpertsSpec:
    assert recipe.experts is not None  # the recipe has checked it
    return recipe.experts


def _experts(trainer: "Trainer", recipe: Recipe) -> list[_Expert]:
    bundles, sigmas = _spec(recipe).bundles, _spec(recipe).sigmas
    if bundles is None:
        return [(prerequisite(trainer, expert), None) for expert in expert_recipes(recipe)]
    experts = [find(bundle) for bundle in bundles]
    for expert in experts:
        of_kind(expert, "smoothed", "expected a classifier as expert, got a {kind}")
        check_same_data(expert, trainer, recipe)
    if sigmas is None:
        return [(expert, None) for expert in experts]
    return [(experts[0], sigma) for sigma in sigmas]


def _name(expert: Bundle, sigma: float | None) -> str:
    return expert.config.name if sigma is None else f"{expert.config.name} at {sigma:g}"


def _expert_radii(
    trainer: "Trainer", recipe: Recipe, experts: list[_Expert], images: ImageSet
) -> Tensor:
    """Return the radius that each expert certifies for each image, `[N, K]`."""
    radii = torch.stack([_radii(trainer, recipe, expert, images) for expert in experts], 1)
    if not radii.any():
        draws, alpha = _spec(recipe).draws, recipe.certify.alpha
        raise RszooError(
            f"expected {images.split} images that an expert certifies with {draws} draws at "
            f"alpha {alpha:g}, got none; raise experts.draws, or take other experts"
        )
    return radii


def _radii(trainer: "Trainer", recipe: Recipe, expert: _Expert, images: ImageSet) -> Tensor:
    """Return the radius that an expert certifies for each image, `[N]`."""
    bundle, another = expert
    sigma, draws = another or bundle.of_network.sigma, _spec(recipe).draws
    shares = votes_of(trainer, bundle, images, sigma=sigma, draws=draws, seed=recipe.seed)
    return radii_of_labels(
        shares, images.labels, draws=draws, sigma=sigma, alpha=recipe.certify.alpha
    )

"""Training that goes on from a finished model.

With a router, under the noise that it gives: so Sun, Mao and Vechev (2026), Dual Randomized
Smoothing, https://arxiv.org/abs/2512.01782, fine-tune their classifier, each training image at the
noise level that the router takes for it.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import find
from rszoo.hub.kinds.network import of_kind
from rszoo.training.prerequisites import check_same_data, parent_of
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.recipes.sections import FineTuningSpec
from rszoo.training.tasks.task import Task, classification
from rszoo.training.tasks.votes import votes_of

if TYPE_CHECKING:
    from rszoo.training.trainer import Trainer

__all__ = ["fine_tuning", "median_level"]


def fine_tuning(trainer: "Trainer", recipe: Recipe) -> Task:
    """Return the task of a classifier that begins with the network of another one.

    Raises:
        RszooError: the model to start from, or the router, is not there or does not fit.
    """
    spec = recipe.fine_tuning
    assert spec is not None  # the trainer has checked it
    start = find(spec.start)
    _check_start(start, trainer, recipe)
    task = classification(trainer, recipe)
    network = start.network().requires_grad_(True)
    task = replace(task, start=network, parents=[*task.parents, parent_of(start)])
    if spec.router is None:
        return task
    router = find(spec.router)
    sigmas = _levels(router, start, device=trainer.device)
    levels = sigmas[_routed(trainer, recipe, router, spec)]
    return replace(task, levels=levels, parents=[*task.parents, parent_of(router)])


def median_level(shares: Tensor) -> Tensor:
    """Return the median of the router's answers for each image, `[N]`, from shares `[N, K]`."""
    # Shares are multiples of 1 / draws, whose sums may be off by a little.
    return (shares.cumsum(1) < 0.5 - 1e-6).sum(1)


def _check_start(start: Bundle, trainer: "Trainer", recipe: Recipe) -> None:
    config = of_kind(start, "smoothed", "expected a classifier to start from, got a {kind}")
    images = trainer.images
    check_same_data(start, trainer, recipe)
    if config.normalization != images.normalization:
        raise RszooError(
            f"{start.id}: expected the normalization {images.normalization}, got "
            f"{config.normalization}"
        )
    if config.architecture != recipe.network.model_dump():
        raise RszooError(
            f"{start.id}: expected the recipe's network, {recipe.network.model_dump()}, got "
            f"{config.architecture}; change the recipe's network"
        )


def _levels(router: Bundle, start: Bundle, *, device: torch.device) -> Tensor:
    """Return the noise levels among which a router chooses for a classifier, `[K]`."""
    parents = router.manifest.origin.get("parents", [])
    known = [(parent.get("weights_sha256"), parent.get("sigma")) for parent in parents]
    sigmas = [sigma for digest, sigma in known if digest == start.weights_digest and sigma]
    if router.of_network.kind != "router" or not known or len(sigmas) != len(known):
        raise RszooError(
            f"{router.id}: expected a router for {start.id} at several noise levels, got another; "
            f"rszoo train dual_rs 'experts.bundles=[{start.id}]' 'experts.sigmas=[0.25, 1.0]' "
            "trains one"
        )
    return torch.tensor(sigmas, device=device)


def _routed(trainer: "Trainer", recipe: Recipe, router: Bundle, spec: FineTuningSpec) -> Tensor:
    """Return the level that the router takes for each training image, `[N]`."""
    names = router.config.class_names
    images = trainer.images.relabelled(torch.zeros_like(trainer.images.labels), names)
    sigma = router.of_network.sigma
    return median_level(
        votes_of(trainer, router, images, sigma=sigma, draws=spec.draws, seed=recipe.seed)
    )

"""Training that goes on from a finished model.

With a router, under the noise that it gives: so Sun, Mao and Vechev (2026), Dual Randomized
Smoothing, https://arxiv.org/abs/2512.01782, fine-tune their classifier, each training image at the
noise level that the router takes for it.
"""

from dataclasses import replace

import torch
from torch import Tensor

from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.kinds.network import of_kind
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.setting import Setting
from rszoo.training.tasks.classification import classification
from rszoo.training.tasks.parents import check_same_data, check_same_network, parent_of
from rszoo.training.tasks.task import Models, Task
from rszoo.training.tasks.votes import votes_of

__all__ = ["fine_tuning", "median_level"]


def fine_tuning(setting: Setting, recipe: Recipe, models: Models) -> Task:
    """Return the task of a classifier that begins with the network of another one.

    Raises:
        RszooError: the model to start from, or the router, does not fit.
    """
    start, *routers = models["fine_tuning"]
    _check_start(start, setting, recipe)
    task = classification(setting, recipe, models)
    network = start.network().requires_grad_(True)
    task = replace(task, start=network, parents=[*task.parents, parent_of(start)])
    for router in routers:  # there is at most one
        choices = _sigmas(router, start, device=setting.device)
        sigmas = choices[_routed(setting, recipe, router)]
        task = replace(task, sigmas=sigmas, parents=[*task.parents, parent_of(router)])
    return task


def median_level(shares: Tensor) -> Tensor:
    """Return the median of the router's answers for each image, `[N]`, from shares `[N, K]`."""
    # Shares are multiples of 1 / draws, whose sums may be off by a little.
    return (shares.cumsum(1) < 0.5 - 1e-6).sum(1)


def _check_start(start: Bundle, setting: Setting, recipe: Recipe) -> None:
    config = of_kind(start, "smoothed", "expected a classifier to start from, got a {kind}")
    images = setting.images
    check_same_data(start, setting, recipe)
    if config.normalization != images.normalization:
        raise RszooError(
            f"{start.id}: expected the normalization {images.normalization}, got "
            f"{config.normalization}"
        )
    check_same_network(start, recipe)


def _sigmas(router: Bundle, start: Bundle, *, device: torch.device) -> Tensor:
    """Return the noise levels among which a router chooses for a classifier, `[K]`."""
    parents = router.manifest.origin.parents
    known = [(parent.weights_sha256, parent.sigma) for parent in parents]
    sigmas = [sigma for digest, sigma in known if digest == start.weights_digest and sigma]
    message = (
        f"expected a router for {start.id} at several noise levels, got another; "
        f"rszoo train dual_rs 'experts.bundles=[{start.id}]' 'experts.sigmas=[0.25, 1.0]' "
        "trains one"
    )
    of_kind(router, "router", message)
    if not known or len(sigmas) != len(known):
        raise RszooError(f"{router.id}: {message}")
    return torch.tensor(sigmas, device=device)


def _routed(setting: Setting, recipe: Recipe, router: Bundle) -> Tensor:
    """Return the level that the router takes for each training image, `[N]`."""
    assert recipe.fine_tuning is not None  # the recipe has checked it
    names = router.config.class_names
    images = setting.images.relabelled(torch.zeros_like(setting.images.labels), names)
    sigma, draws = router.of_network.sigma, recipe.fine_tuning.draws
    return median_level(
        votes_of(setting, router, images, sigma=sigma, draws=draws, seed=recipe.seed)
    )

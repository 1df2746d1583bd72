"""The task of a router: to tell from an image which of its experts certifies it furthest.

What the experts certify is found with few draws, once per image: the labels of a training need no
guarantee. (For one image and one expert the radius has it: the class whose votes are counted is
the image's label, known before any draw. The largest of several such radii has none.)
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from rszoo import networks
from rszoo.data import ImageSet
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.kinds._experts import Served, is_smoothed, noise_of
from rszoo.hub.kinds.network import of_kind
from rszoo.networks.denoised import BehindDenoiser
from rszoo.networks.execution import place
from rszoo.smoothing.level_sets import expected_radius
from rszoo.theory.bounds import clopper_pearson_lower
from rszoo.theory.radii import certified_radius, largest_radius
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.recipes.sections.experts import ExpertsSpec
from rszoo.training.setting import Setting
from rszoo.training.tasks.parents import check_same_data, parent_of
from rszoo.training.tasks.task import Models, Task
from rszoo.training.tasks.votes import votes_of

__all__ = ["balanced_weights", "expected_radii", "radii_of_labels", "routing"]


def routing(setting: Setting, recipe: Recipe, models: Models) -> Task:
    """Return the task of a router.

    Raises:
        RszooError: an expert does not fit, or none certifies any image; the denoiser does not.
    """
    experts = _experts(setting, recipe, models)
    denoisers = models["experts"][len(experts) :]  # at most one
    wrap = _behind(denoisers[0], setting, recipe) if denoisers else None
    parents = [parent_of(expert, sigma=sigma) for expert, sigma in experts]
    names = [_name(*expert) for expert in experts]
    radii = _expert_radii(setting, recipe, experts, setting.images)
    test_radii = _expert_radii(setting, recipe, experts, setting.test_images)
    return Task(
        images=setting.images.relabelled(radii.argmax(1), names),
        test_images=setting.test_images.relabelled(test_radii.argmax(1), names),
        per_example={
            "expert_radii": radii,
            "example_weights": balanced_weights(radii, power=_spec(recipe).balance),
        },
        parents=[*parents, *map(parent_of, denoisers)],
        judged=test_radii.any(1).nonzero()[:, 0],
        wrap=wrap,
        start=_start(recipe, experts) if _spec(recipe).from_noisiest else None,
    )


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


def expected_radii(
    shares: Tensor, labels: Tensor, *, draws: int, sigma: float, cap: float
) -> Tensor:
    """Return the radius that many draws would certify each image's label at, `[N]`.

    Args:
        shares, labels, draws, sigma: see `radii_of_labels`.
        cap: the largest radius that they could, pixel units.
    """
    known = [expected_radius(votes, draws, sigma, cap=cap) for votes in range(draws + 1)]
    votes = shares.gather(1, labels.unsqueeze(1)).squeeze(1) * draws
    return torch.tensor(known, device=shares.device)[votes.round().long()]


def balanced_weights(radii: Tensor, *, power: float = 1.0) -> Tensor:
    """Return a weight per image, `[N]` with mean 1, that makes up for how rare its expert is.

    Args:
        radii: `[N, K]`; an image of zeros has weight 0, and not all of them are.
        power: 1 gives each expert the same total, 0 each image the same weight.
    """
    served, best = radii.any(1), radii.argmax(1)
    counts = torch.bincount(best[served], minlength=radii.shape[1])
    weights = served / counts[best].clamp(min=1) ** power
    return weights * (len(weights) / weights.sum())


def _spec(recipe: Recipe) -> ExpertsSpec:
    assert recipe.experts is not None  # the recipe has checked it
    return recipe.experts


def _experts(setting: Setting, recipe: Recipe, models: Models) -> list[Served]:
    spec = _spec(recipe)
    experts = models["experts"] if spec.denoiser is None else models["experts"][:-1]
    for expert in experts:
        if not is_smoothed(expert):
            raise RszooError(
                f"{expert.id}: expected a classifier as expert, got a {expert.config.kind}"
            )
        check_same_data(expert, setting, recipe)
    if spec.bundles is None or spec.sigmas is None:
        return [(expert, None) for expert in experts]
    (expert,) = experts
    return [(expert, sigma) for sigma in spec.sigmas]


def _behind(
    denoiser: Bundle, setting: Setting, recipe: Recipe
) -> Callable[[nn.Sequential], nn.Module]:
    """Return what puts the router behind its denoiser while it learns.

    Raises:
        RszooError: the denoiser is none, or for other images or another noise level.
    """
    config = of_kind(denoiser, "denoiser", "expected a denoiser for the router, got a {kind}")
    wanted = (setting.images.shape, recipe.sigma)
    if (config.input_shape, config.sigma) != wanted:
        raise RszooError(
            f"{denoiser.id}: expected a denoiser for the images and noise level of the router, "
            f"{wanted}, got one for {(config.input_shape, config.sigma)}"
        )
    return partial(BehindDenoiser, denoiser=place(denoiser.network(), setting.device))


def _name(expert: Bundle, sigma: float | None) -> str:
    return expert.config.name if sigma is None else f"{expert.config.name} at {sigma:g}"


def _expert_radii(
    setting: Setting, recipe: Recipe, experts: list[Served], images: ImageSet
) -> Tensor:
    """Return the radius that each expert certifies for each image, `[N, K]`."""
    radii = torch.stack([_radii(setting, recipe, expert, images) for expert in experts], 1)
    if not radii.any():
        draws, alpha = _spec(recipe).draws, recipe.certify.alpha
        raise RszooError(
            f"expected {images.split} images that an expert certifies with {draws} draws at "
            f"alpha {alpha:g}, got none; raise experts.draws, or take other experts"
        )
    return radii


def _radii(setting: Setting, recipe: Recipe, expert: Served, images: ImageSet) -> Tensor:
    """Return the radius that an expert certifies for each image, `[N]`."""
    bundle, _ = expert
    sigma, draws = noise_of(expert), _spec(recipe).draws
    shares = votes_of(setting, bundle, images, sigma=sigma, draws=draws, seed=recipe.seed)
    alpha = recipe.certify.alpha
    if _spec(recipe).labels == "estimate":
        cap = largest_radius(recipe.certify.n, alpha, sigma)
        return expected_radii(shares, images.labels, draws=draws, sigma=sigma, cap=cap)
    return radii_of_labels(shares, images.labels, draws=draws, sigma=sigma, alpha=alpha)


def _start(recipe: Recipe, experts: list[Served]) -> nn.Sequential:
    """Return the network of the noisiest expert, with new layers where classes are counted.

    Raises:
        RszooError: the expert has another network than the recipe.
    """
    noisiest, _ = max(experts, key=noise_of)
    config = noisiest.of_network
    if config.architecture != recipe.network.model_dump():
        raise RszooError(
            f"{noisiest.id}: expected the recipe's network to begin with, "
            f"{recipe.network.model_dump()}, got {config.architecture}; change the recipe's "
            "network, or set experts.from_noisiest=false"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = networks.build(
            recipe.network.name,
            input_shape=config.input_shape,
            num_classes=len(experts),
            normalization=config.normalization,
            **recipe.network.options,
        )
    new, known = network.state_dict(), noisiest.network().state_dict()
    same = {key: value for key, value in known.items() if value.shape == new[key].shape}
    network.load_state_dict({**new, **same})
    return network

"""Bundles of a router over experts (Dual RS)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rszoo.certificates.base import applied_sigma
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.card_text import certifying, made_of
from rszoo.hub.configs.denoised import DenoisedConfig
from rszoo.hub.configs.dual import DualConfig
from rszoo.hub.kind import Early, Kind, listed_parts, stated_noise
from rszoo.hub.kinds import kind_of
from rszoo.hub.kinds._experts import (
    Served,
    applied_levels,
    config_values,
    expert_classifiers,
    opened_experts,
    served_experts,
)
from rszoo.hub.origin import Parent
from rszoo.hub.parts import part_in, part_of, write_composed
from rszoo.smoothing.execution import Execution

if TYPE_CHECKING:
    from rszoo.smoothing.dual import DualClassifier

__all__ = ["KINDS", "compose_dual", "served_experts"]


def compose_dual(
    folder: Path,
    *,
    experts: Sequence[Bundle],
    router: Bundle,
    sigmas: Sequence[float] | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle that routes its inputs among experts.

    Args:
        folder: the new bundle; its name is the bundle's.
        experts: smoothed bundles of the same inputs and classes; with `sigmas`, one.
        sigmas: noise levels at which the one expert serves; None: each expert at its own.
        router: with one class per expert, in their order; it may stand behind a denoiser.
        overwrite: replace an existing bundle.

    Raises:
        RszooError: the parts do not fit together, or the folder exists.
    """
    served = served_experts(experts, sigmas)
    _check_router(router, served)
    config = DualConfig(
        method="dual_rs", router=part_in(folder, router), **config_values(folder, served)
    )
    return write_composed(folder, config, parts=[*experts, router], overwrite=overwrite)


def _classifier(bundle: Bundle, execution: Execution) -> "DualClassifier":
    from rszoo.smoothing.dual import DualClassifier

    config = bundle.config
    assert isinstance(config, DualConfig)
    served = opened_experts(bundle, config.experts)
    router = part_of(bundle, config.router)
    _check_router(router, served)
    experts = expert_classifiers(served, execution)
    smoothed = kind_of(router).smoothed
    assert smoothed is not None  # `_check_router` has seen to it
    return DualClassifier(experts, smoothed(router, execution), class_names=config.class_names)


def _check_router(router: Bundle, experts: Sequence[Served]) -> None:
    """Refuse what is no router for experts, or one for others, or for these in another order."""
    composed = router.config if isinstance(router.config, DenoisedConfig) else None
    network = router if composed is None else part_of(router, composed.classifier)
    config, first = network.of_network, experts[0][0].config
    fits = config.kind == "router" and config.input_shape == first.input_shape
    if not fits or len(config.class_names) != len(experts):
        raise RszooError(
            f"{router.id}: expected a router with {len(experts)} classes for inputs of the shape "
            f"of the experts', got a {config.kind} one with {len(config.class_names)} classes"
        )
    parents = network.manifest.origin.parents
    taught, denoisers = parents[: len(experts)], parents[len(experts) :]
    if taught and not (
        len(taught) == len(experts)
        and all(_is_for(network, *pair) for pair in zip(taught, experts, strict=True))
    ):
        raise RszooError(
            f"{router.id}: expected the experts that it was trained for, in their order: "
            f"{', '.join(network.config.class_names)}; name them so, or train a router for these"
        )
    behind = composed and part_of(router, composed.denoiser).weights_digest
    for denoiser in denoisers:  # there is at most one
        if denoiser.weights_sha256 != behind:
            raise RszooError(
                f"{router.id}: expected the router behind the denoiser that it was trained with, "
                f"{denoiser.name}; rszoo compose denoised --denoiser ID --classifier {network.id} "
                "puts it there"
            )


def _is_for(router: Bundle, taught: Parent, served: Served) -> bool:
    """Return whether a router was trained for an expert, or the expert was fine-tuned for it."""
    expert, sigma = served
    tuned_for = [parent.weights_sha256 for parent in expert.manifest.origin.parents]
    same = taught.weights_sha256 == expert.weights_digest
    return taught.sigma == sigma and (same or router.weights_digest in tuned_for)


def _early(bundle: Bundle) -> Early:
    """Return what the radii can be: experts that agree, and the router unless they are all."""
    from rszoo.smoothing.level_sets import level_sets, routed

    config = bundle.config
    assert isinstance(config, DualConfig)
    served, router = opened_experts(bundle, config.experts), part_of(bundle, config.router)
    _check_router(router, served)
    noise = router.config.noise
    assert noise is not None  # that of a denoiser, or the router's own
    parts = applied_levels(served), applied_sigma(noise)
    return Early(ways=[routed(among, *parts) for among in level_sets(len(served))])


KINDS = {
    "dual": Kind(
        classifier=_classifier,
        smoothed=None,
        network=Bundle.network,
        early=_early,
        certificates=("dual", "dual_early"),
        stated=stated_noise,
        roles=lambda config: (*("expert",) * (len(config.parts) - 1), "router"),
        composition=listed_parts,
        card=lambda config, repo: certifying(made_of(config), repo),
        fits_noise=True,
        is_model=True,
    )
}

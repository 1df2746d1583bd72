"""Bundles of experts that are asked one after the other, the noisiest first."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.card_text import certifying, made_of
from rszoo.hub.configs.cascade import CascadeConfig
from rszoo.hub.kind import Early, Kind, listed_parts, stated_noise
from rszoo.hub.kinds._experts import (
    Served,
    applied_levels,
    config_values,
    expert_classifiers,
    noise_of,
    opened_experts,
    served_experts,
)
from rszoo.hub.parts import write_composed
from rszoo.smoothing.execution import Execution

if TYPE_CHECKING:
    from rszoo.smoothing.cascade import CascadeClassifier

__all__ = ["KINDS", "compose_cascade"]


def compose_cascade(
    folder: Path,
    *,
    experts: Sequence[Bundle],
    sigmas: Sequence[float] | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle that asks its experts one after the other, the noisiest first.

    Args:
        folder: the new bundle; its name is the bundle's.
        experts: smoothed bundles of the same inputs and classes, in any order; with `sigmas`, one.
        sigmas: noise levels at which the one expert serves; None: each expert at its own.
        overwrite: replace an existing bundle.

    Raises:
        RszooError: the parts do not fit together, or the folder exists.
    """
    served = sorted(served_experts(experts, sigmas), key=noise_of)
    _check_once(served)
    config = CascadeConfig(method="cascade", **config_values(folder, served))
    return write_composed(folder, config, parts=experts, overwrite=overwrite)


def _check_once(served: Sequence[Served]) -> None:
    """Refuse a network that is asked twice under one noise level."""
    networks = [(expert.weights_digest, noise_of((expert, sigma))) for expert, sigma in served]
    if len(set(networks)) < len(networks):
        raise RszooError(f"expected each expert once, got {[expert.id for expert, _ in served]}")


def _classifier(bundle: Bundle, execution: Execution) -> "CascadeClassifier":
    from rszoo.smoothing.cascade import CascadeClassifier

    config = bundle.config
    assert isinstance(config, CascadeConfig)
    served = opened_experts(bundle, config.experts)
    _check_once(served)
    levels = [noise_of(one) for one in served]
    if levels != sorted(levels):
        raise RszooError(
            f"{bundle.id}: expected experts by increasing noise level, got {levels}; compose it "
            "anew"
        )
    experts = expert_classifiers(served, execution)
    return CascadeClassifier(experts, class_names=config.class_names)


def _early(bundle: Bundle) -> Early:
    """Return what the radii can be: an expert that answers limits those before it, and they it."""
    config = bundle.config
    assert isinstance(config, CascadeConfig)
    sigmas = applied_levels(opened_experts(bundle, config.experts))
    return Early(ways=[sigmas[level:] for level in range(len(sigmas))])


KINDS = {
    "cascade": Kind(
        classifier=_classifier,
        smoothed=None,
        network=Bundle.network,
        early=_early,
        certificates=("cascade", "cascade_early"),
        stated=stated_noise,
        roles=lambda config: ("expert",) * len(config.parts),
        composition=listed_parts,
        card=lambda config, repo: certifying(made_of(config), repo),
        fits_noise=False,
        is_model=True,
    )
}

"""The experts of a composed bundle: smoothed bundles, or one at several noise levels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.config import SMALLEST_SIGMA, Expert
from rszoo.hub.kinds.network import of_kind, smoothed_classifier
from rszoo.hub.parts import part_in, part_of
from rszoo.smoothing.execution import Execution

if TYPE_CHECKING:
    from rszoo.smoothing.classifier import SmoothedClassifier

__all__ = ["Served", "config_values", "expert_classifiers", "noise_of", "served_experts"]

# A bundle, and the noise level at which it serves; None for its own.
Served = tuple[Bundle, float | None]


def served_experts(experts: Sequence[Bundle], sigmas: Sequence[float] | None) -> list[Served]:
    """Return each expert with its noise level, checked.

    Raises:
        RszooError: they are not smoothed bundles for the same inputs and classes; or there are
            noise levels, and not one expert for at least two different ones.
    """
    if sigmas is None:
        _check_alike(experts)
        return [(expert, None) for expert in experts]
    if len(experts) != 1 or len(sigmas) < 2 or len(set(sigmas)) < len(sigmas):
        raise RszooError(
            f"expected one expert for at least two different noise levels, got {len(experts)} "
            f"for {list(sigmas)}; without noise levels each expert has its own"
        )
    for sigma in sigmas:
        if not SMALLEST_SIGMA <= sigma <= 100.0:
            raise RszooError(f"expected noise levels from {SMALLEST_SIGMA:g} to 100, got {sigma}")
    served: list[Served] = [(experts[0], sigma) for sigma in sigmas]
    _check_alike([expert for expert, _ in served])
    return served


def noise_of(served: Served) -> float:
    """Return the noise level at which an expert serves."""
    expert, sigma = served
    return expert.of_network.sigma if sigma is None else sigma


def config_values(folder: Path, served: Sequence[Served]) -> dict[str, Any]:
    """Return what the config of a bundle in `folder` has from its experts."""
    first = served[0][0].of_network
    return {
        "name": folder.name,
        "dataset": first.dataset,
        "input_shape": first.input_shape,
        "class_names": first.class_names,
        "experts": tuple(
            Expert(**part_in(folder, expert).model_dump(), sigma=sigma) for expert, sigma in served
        ),
    }


def expert_classifiers(
    bundle: Bundle, experts: Sequence[Expert], execution: Execution
) -> "list[SmoothedClassifier]":
    """Return the experts; a network that serves at several noise levels is loaded once.

    Raises:
        RszooError, IntegrityError: as `part_of`; or they are not alike.
    """
    bundles = {(part.id, part.digest): part_of(bundle, part) for part in experts}
    _check_alike([bundles[part.id, part.digest] for part in experts])
    loaded = {key: smoothed_classifier(one, execution) for key, one in bundles.items()}
    return [
        expert if part.sigma is None else expert.with_sigma(part.sigma)
        for part in experts
        for expert in [loaded[part.id, part.digest]]
    ]


def _check_alike(experts: Sequence[Bundle]) -> None:
    if len(experts) < 2:
        raise RszooError(f"expected at least two experts, got {len(experts)}")
    first = experts[0].of_network
    for expert in experts:
        config = of_kind(expert, "smoothed", "expected a smoothed bundle, got a {kind}")
        if (config.input_shape, config.class_names) != (first.input_shape, first.class_names):
            raise RszooError(
                f"{expert.id}: expected the inputs and classes of {experts[0].id}, got others"
            )

"""The experts of a composed bundle: bundles of one noise level, or one at several levels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rszoo.certificates.base import applied_sigma
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.config import SMALLEST_SIGMA, Expert
from rszoo.hub.kind import stated_noise
from rszoo.hub.kinds import kind_of
from rszoo.hub.kinds._shared import sharing
from rszoo.hub.parts import part_in, part_of
from rszoo.smoothing.execution import Execution

if TYPE_CHECKING:
    from rszoo.smoothing.classifier import SmoothedClassifier

__all__ = [
    "Served",
    "applied_levels",
    "check_served",
    "config_values",
    "expert_classifiers",
    "is_smoothed",
    "noise_of",
    "opened_experts",
    "served_experts",
]

# A bundle, and the noise level at which it serves; None for its own.
Served = tuple[Bundle, float | None]


def served_experts(experts: Sequence[Bundle], sigmas: Sequence[float] | None) -> list[Served]:
    """Return each expert with its noise level, checked.

    Raises:
        RszooError: they are not smoothed bundles for the same inputs and classes; or there are
            noise levels, and not one expert for at least two different ones.
    """
    if sigmas is None:
        served: list[Served] = [(expert, None) for expert in experts]
    elif len(experts) == 1:
        served = [(experts[0], sigma) for sigma in sigmas]
    else:
        raise _no_levels(len(experts), sigmas)
    check_served(served)
    return served


def check_served(served: Sequence[Served]) -> None:
    """Refuse experts that do not fit together, when they are composed and when they are loaded.

    Raises:
        RszooError: as `served_experts`.
    """
    sigmas = [sigma for _, sigma in served if sigma is not None]
    experts = {expert.weights_digest: expert for expert, _ in served}
    if sigmas:
        mixed = len(sigmas) < len(served) or len(experts) > 1
        if mixed or len(sigmas) < 2 or len(set(sigmas)) < len(sigmas):
            raise _no_levels(len(experts), sigmas)
        for sigma in sigmas:
            if not SMALLEST_SIGMA <= sigma <= 100.0:
                raise RszooError(
                    f"expected noise levels from {SMALLEST_SIGMA:g} to 100, got {sigma}"
                )
    _check_alike([expert for expert, _ in served])


def _no_levels(experts: int, sigmas: Sequence[float]) -> RszooError:
    return RszooError(
        f"expected one expert for at least two different noise levels, got {experts} "
        f"for {list(sigmas)}; without noise levels each expert has its own"
    )


def noise_of(served: Served) -> float:
    """Return the noise level at which an expert serves."""
    expert, sigma = served
    own = expert.config.noise
    assert own is not None  # `check_served` has seen to it
    return own if sigma is None else sigma


def applied_levels(served: Sequence[Served]) -> list[float]:
    """Return the noise levels of the certificates of experts."""
    return [applied_sigma(noise_of(one)) for one in served]


def config_values(folder: Path, served: Sequence[Served]) -> dict[str, Any]:
    """Return what the config of a bundle in `folder` has from its experts."""
    first = served[0][0].config
    return {
        "name": folder.name,
        "dataset": first.dataset,
        "input_shape": first.input_shape,
        "class_names": first.class_names,
        "experts": tuple(
            Expert(**part_in(folder, expert).model_dump(), sigma=sigma) for expert, sigma in served
        ),
    }


def opened_experts(bundle: Bundle, experts: Sequence[Expert]) -> list[Served]:
    """Return the experts that a bundle names, each with its noise level, checked as if composed.

    Raises:
        RszooError, IntegrityError: as `part_of` and `check_served`; or they are of other inputs or
            classes than the bundle says.
    """
    bundles = {(part.id, part.digest): part_of(bundle, part) for part in experts}
    served = [(bundles[part.id, part.digest], part.sigma) for part in experts]
    check_served(served)
    first = served[0][0].config
    stated = (bundle.config.input_shape, bundle.config.class_names)
    if (first.input_shape, first.class_names) != stated:
        raise RszooError(
            f"{bundle.id}: expected the inputs and classes of its experts, got others; compose "
            "it anew"
        )
    return served


def expert_classifiers(
    served: Sequence[Served], execution: Execution
) -> "list[SmoothedClassifier]":
    """Return the classifiers of experts; what several have in common is loaded once."""
    different = {expert.weights_digest: expert for expert, _ in served}
    with sharing():
        loaded = {key: _smoothed(one, execution) for key, one in different.items()}
    classifiers = [(loaded[expert.weights_digest], sigma) for expert, sigma in served]
    return [one if sigma is None else one.with_sigma(sigma) for one, sigma in classifiers]


def _check_alike(experts: Sequence[Bundle]) -> None:
    if len(experts) < 2:
        raise RszooError(f"expected at least two experts, got {len(experts)}")
    first = experts[0].config
    for expert in experts:
        config = expert.config
        if not is_smoothed(expert):
            raise RszooError(
                f"{expert.id}: expected a bundle of one smoothed network as an expert, got one of "
                f"kind {config.kind!r}"
            )
        if (config.input_shape, config.class_names) != (first.input_shape, first.class_names):
            raise RszooError(
                f"{expert.id}: expected the inputs and classes of {experts[0].id}, got others"
            )


def is_smoothed(expert: Bundle) -> bool:
    """Return whether one network answers under one noise level, for the classes of a model.

    What else a log has to state of it, such as that it is opaque, those of several do not state.
    """
    kind, config = kind_of(expert), expert.config
    alone = kind.smoothed is not None and kind.is_model and bool(config.noise)
    return alone and kind.stated(config) == stated_noise(config)


def _smoothed(expert: Bundle, execution: Execution) -> "SmoothedClassifier":
    build = kind_of(expert).smoothed
    assert build is not None  # `check_served` has seen to it
    return build(expert, execution)

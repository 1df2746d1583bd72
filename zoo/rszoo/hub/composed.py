"""Bundles made of other bundles, which they name by id and digest."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rszoo.errors import IntegrityError, RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import find, is_own
from rszoo.hub.config import (
    SMALLEST_SIGMA,
    BundleConfig,
    CascadeConfig,
    DualConfig,
    Expert,
    MixedConfig,
    Part,
)
from rszoo.hub.writing import write_bundle

if TYPE_CHECKING:
    from rszoo.smoothing.classifier import SmoothedClassifier
    from rszoo.smoothing.interface import Classifier

__all__ = [
    "check_place",
    "compose_cascade",
    "compose_dual",
    "composed_classifier",
    "levels_of",
    "origin_of",
    "own_parts",
    "part_in",
    "part_of",
]

# A bundle, and the noise level at which it serves; None for its own.
Level = tuple[Bundle, float | None]


def composed_classifier(bundle: Bundle, **options: Any) -> "Classifier":
    """Return the classifier of a bundle that is made of others; see `Bundle.classifier`.

    Raises:
        RszooError: a part is not there, or is none.
        IntegrityError: a part is not the one that was composed.
    """
    from rszoo.hub.mixed import mixed_classifier
    from rszoo.smoothing.cascade import CascadeClassifier
    from rszoo.smoothing.dual import DualClassifier

    config = bundle.config
    if isinstance(config, MixedConfig):
        return mixed_classifier(bundle, config, **options)
    assert isinstance(config, CascadeConfig | DualConfig)
    experts, names = _experts(bundle, config.experts, options), config.class_names
    if isinstance(config, CascadeConfig):
        return CascadeClassifier(experts, class_names=names)
    router = part_of(bundle, config.router)
    _check_routes(router, levels=len(experts), input_shape=config.input_shape)
    return DualClassifier(experts, router.smoothed_classifier(**options), class_names=names)


def _experts(
    bundle: Bundle, parts: Sequence[Expert], options: dict[str, Any]
) -> "list[SmoothedClassifier]":
    """Return the experts; a network that serves at several noise levels is loaded once."""
    bundles = {(part.id, part.digest): part_of(bundle, part) for part in parts}
    _check_alike([bundles[part.id, part.digest] for part in parts])
    loaded = {key: one.smoothed_classifier(**options) for key, one in bundles.items()}
    return [
        expert if part.sigma is None else expert.at(part.sigma)
        for part in parts
        for expert in [loaded[part.id, part.digest]]
    ]


def part_of(bundle: Bundle, part: Part) -> Bundle:
    """Return a part of a bundle, fetched if need be.

    Raises:
        RszooError: it is not there, or a bundle on a hub names a path.
        IntegrityError: it is not the one that was composed.
    """
    place = _place(bundle, part)
    try:
        found = find(place)
    except IntegrityError:
        raise
    except RszooError as error:
        raise RszooError(f"{bundle.id}: its part {part.id} is missing: {error}") from error
    if found.weights_digest != part.digest:
        raise IntegrityError(
            part.id,
            expected=f"the part of {bundle.id} with digest {part.digest}",
            actual=found.weights_digest,
            hint="it was trained again since; compose anew",
        )
    return found


def _place(bundle: Bundle, part: Part) -> str | Path:
    """Return what `find` takes for a part: a path is one from where the bundle lies."""
    if _elsewhere(part):
        return part.id
    if is_own(bundle):
        return bundle.path.parent / part.id
    if bundle.id == f"builtin/{bundle.path.name}":  # its parts came with it
        return f"builtin/{part.id}"
    raise RszooError(f"{bundle.id}: expected a part on a hub, got the path {part.id!r}")


def own_parts(bundle: Bundle) -> list[str]:
    """Return the parts that nobody else can find, each once: those named by a path."""
    return [*dict.fromkeys(part.id for part in bundle.config.parts if not _elsewhere(part))]


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
        router: with one class per expert, in their order.
        overwrite: replace an existing bundle.

    Raises:
        RszooError: the parts do not fit together, or the folder exists.
    """
    levels = levels_of(experts, sigmas)
    _check_router(router, levels)
    config = DualConfig(
        method="dual_rs",
        experts=_named(folder, levels),
        router=part_in(folder, router),
        **_common(folder, levels),
    )
    return _written(folder, config, [*experts, router], overwrite=overwrite)


def compose_cascade(
    folder: Path,
    *,
    experts: Sequence[Bundle],
    sigmas: Sequence[float] | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle that asks its experts one after the other, the noisiest first.

    Args:
        folder, sigmas, overwrite: as in `compose_dual`.
        experts: the same, in any order.

    Raises:
        RszooError: the parts do not fit together, or the folder exists.
    """
    levels = sorted(levels_of(experts, sigmas), key=_noise)
    served = [(expert.weights_digest, _noise((expert, sigma))) for expert, sigma in levels]
    if len(set(served)) < len(served):
        raise RszooError(f"expected each expert once, got {[expert.id for expert, _ in levels]}")
    config = CascadeConfig(
        method="cascade", experts=_named(folder, levels), **_common(folder, levels)
    )
    return _written(folder, config, experts, overwrite=overwrite)


def _written(
    folder: Path, config: BundleConfig, parts: Sequence[Bundle], *, overwrite: bool
) -> Bundle:
    check_place(folder, parts)
    return write_bundle(folder, config=config, origin=origin_of(parts), replace=overwrite)


def _named(folder: Path, levels: Sequence[Level]) -> tuple[Expert, ...]:
    return tuple(
        Expert(**part_in(folder, expert).model_dump(), sigma=sigma) for expert, sigma in levels
    )


def _common(folder: Path, levels: Sequence[Level]) -> dict[str, Any]:
    """Return what the config of a bundle has from its experts."""
    first = levels[0][0].of_network
    return {
        "name": folder.name,
        "dataset": first.dataset,
        "input_shape": first.input_shape,
        "class_names": first.class_names,
    }


def _noise(level: Level) -> float:
    expert, sigma = level
    return expert.of_network.sigma if sigma is None else sigma


def levels_of(experts: Sequence[Bundle], sigmas: Sequence[float] | None) -> list[Level]:
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
    levels: list[Level] = [(experts[0], sigma) for sigma in sigmas]
    _check_alike([expert for expert, _ in levels])
    return levels


def check_place(folder: Path, parts: Sequence[Bundle]) -> None:
    """Refuse to put a bundle in the place of one of its parts.

    Raises:
        RszooError: it is one.
    """
    for part in parts:
        if part.path.resolve() == folder.resolve():
            raise RszooError(f"expected another folder than that of a part, got {str(folder)!r}")


def _check_alike(experts: Sequence[Bundle]) -> None:
    if len(experts) < 2:
        raise RszooError(f"expected at least two experts, got {len(experts)}")
    first = experts[0].of_network
    for expert in experts:
        config = expert.of_network
        if config.kind != "smoothed":
            raise RszooError(f"{expert.id}: expected a smoothed bundle, got a {config.kind}")
        if (config.input_shape, config.class_names) != (first.input_shape, first.class_names):
            raise RszooError(
                f"{expert.id}: expected the inputs and classes of {experts[0].id}, got others"
            )


def _check_router(router: Bundle, experts: Sequence[Level]) -> None:
    """Refuse what is no router for experts, or one for others, or for these in another order."""
    _check_routes(router, levels=len(experts), input_shape=experts[0][0].config.input_shape)
    taught = router.manifest.origin.get("parents", [])
    if taught and not (
        len(taught) == len(experts)
        and all(_is_for(router, *pair) for pair in zip(taught, experts, strict=True))
    ):
        raise RszooError(
            f"{router.id}: expected the experts that it was trained for, in their order: "
            f"{', '.join(router.config.class_names)}; name them so, or train a router for these"
        )


def _check_routes(router: Bundle, *, levels: int, input_shape: tuple[int, ...]) -> None:
    config = router.of_network
    fits = config.kind == "router" and config.input_shape == input_shape
    if not fits or len(config.class_names) != levels:
        raise RszooError(
            f"{router.id}: expected a router with {levels} classes for inputs of the shape of the "
            f"experts', got a {config.kind} one with {len(config.class_names)} classes"
        )


def _is_for(router: Bundle, taught: dict[str, Any], level: Level) -> bool:
    """Return whether a router was trained for an expert, or the expert was fine-tuned for it."""
    expert, sigma = level
    tuned_for = expert.manifest.origin.get("parents", [])
    same = taught.get("weights_sha256") == expert.weights_digest
    tuned = any(parent.get("weights_sha256") == router.weights_digest for parent in tuned_for)
    return taught.get("sigma") == sigma and (same or tuned)


def part_in(folder: Path, bundle: Bundle) -> Part:
    """Return how a bundle in `folder` names another."""
    named = bundle.id
    if is_own(bundle):
        named = os.path.relpath(bundle.path.resolve(), folder.resolve().parent)
    return Part(id=named, digest=bundle.weights_digest)


def origin_of(parts: Sequence[Bundle]) -> dict[str, Any]:
    """Return what the manifest of a bundle says that is made of others."""
    from rszoo import __version__

    parents = [{"name": part.config.name, "weights_sha256": part.weights_digest} for part in parts]
    return {"rszoo": __version__, "parents": parents}


def _elsewhere(part: Part) -> bool:
    return part.id.startswith("builtin/") or "@" in part.id

"""Bundles that mix a standard network and a smoothed one."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rszoo.errors import IntegrityError, RszooError
from rszoo.hub.bundle import WEIGHTS, Bundle
from rszoo.hub.composed import check_place, origin_of, part_in, part_of
from rszoo.hub.config import MixedConfig
from rszoo.hub.manifest import DAMAGED
from rszoo.hub.weight_config import FixedConfig, GradientConfig, LearnedConfig
from rszoo.hub.writing import weights_of, write_bundle

if TYPE_CHECKING:
    from torch import device as Device

    from rszoo.networks.mixing import MixingNetwork
    from rszoo.smoothing.mixed import MixedClassifier
    from rszoo.smoothing.mixing_weights import LearnedWeight, Weight

__all__ = ["compose_mixed", "learned_weight", "mixed_classifier"]


def compose_mixed(
    folder: Path,
    *,
    standard: Bundle,
    robust: Bundle,
    weight: "Weight",
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle that mixes two others.

    Args:
        folder: the new bundle; its name is the bundle's.
        standard: of kind "standard".
        robust: smoothed, of the same inputs and classes.
        weight: of the robust part; the network of a learned one goes into the bundle.
        overwrite: replace an existing bundle.

    Raises:
        RszooError: the parts do not fit together, or the folder exists.
    """
    check_place(folder, [standard, robust])
    config = robust.of_network
    for bundle, wanted in ((standard, "standard"), (robust, "smoothed")):
        if bundle.of_network.kind != wanted:
            raise RszooError(
                f"{bundle.id}: expected a {wanted} bundle, got a {bundle.of_network.kind} one"
            )
    other = standard.of_network
    if (other.input_shape, other.class_names) != (config.input_shape, config.class_names):
        raise RszooError(
            f"{standard.id}: expected the inputs and classes of {robust.id}, got others"
        )
    stored, network = _stored(weight)
    mixed = MixedConfig(
        name=folder.name,
        method="mixed",
        dataset=config.dataset,
        input_shape=config.input_shape,
        class_names=config.class_names,
        standard=part_in(folder, standard),
        robust=part_in(folder, robust),
        sigma=config.sigma,
        weight=stored,
    )
    return write_bundle(
        folder,
        config=mixed,
        origin=origin_of([standard, robust]),
        network=network,
        replace=overwrite,
    )


def learned_weight(bundle: Bundle, *, standard: Bundle, robust: Bundle) -> "LearnedWeight":
    """Return the weight that was trained for two bundles.

    Raises:
        RszooError: the bundle is of another kind, or was trained for others.
    """
    from rszoo.networks.mixing import MixingNetwork
    from rszoo.smoothing.mixing_weights import LearnedWeight

    if bundle.of_network.kind != "weight":
        raise RszooError(
            f"{bundle.id}: expected the weight of a mix, got a {bundle.of_network.kind} bundle; "
            "rszoo train mixing trains one"
        )
    taught = [parent.get("weights_sha256") for parent in bundle.manifest.origin.get("parents", [])]
    if taught != [standard.weights_digest, robust.weights_digest]:
        raise RszooError(
            f"{bundle.id}: expected the parts that it was trained for, got {standard.id} and "
            f"{robust.id}; train it for these (rszoo train mixing)"
        )
    _, network = bundle.network().children()  # the first normalises images
    if not isinstance(network, MixingNetwork):
        raise RszooError(f"{bundle.id}: expected a network 'mixing', got {network!r}")
    return LearnedWeight(network)


def mixed_classifier(bundle: Bundle, config: MixedConfig, **options: Any) -> "MixedClassifier":
    """Return the classifier of a mixed bundle; see `Bundle.classifier`.

    Raises:
        RszooError: a part is not there, or is none.
        IntegrityError: a part, or the mixing network, is not the one that was composed.
    """
    from rszoo.smoothing.mixed import MixedClassifier

    robust = part_of(bundle, config.robust)
    standard = part_of(bundle, config.standard)
    stated = (robust.of_network.sigma, robust.of_network.class_names, robust.config.input_shape)
    if stated != (config.sigma, config.class_names, config.input_shape):
        raise RszooError(f"{bundle.id}: expected the sigma, classes and inputs of {robust.id}")
    if standard.of_network.kind != "standard":
        raise RszooError(f"{standard.id}: expected a standard bundle as the part of {bundle.id}")
    smoothed = robust.smoothed_classifier(**options)
    return MixedClassifier(
        standard.network(), smoothed, weight=_weight(bundle, config, device=smoothed.device)
    )


def _stored(
    weight: "Weight",
) -> "tuple[FixedConfig | LearnedConfig | GradientConfig, MixingNetwork | None]":
    """Return how a weight is stored, and the network that goes with it."""
    from rszoo.smoothing.mixing_weights import FixedWeight, GradientWeight, LearnedWeight

    if isinstance(weight, FixedWeight):
        return FixedConfig(alpha_mix=weight.alpha_mix), None
    if isinstance(weight, GradientWeight):
        return GradientConfig(scale=weight.scale), None
    if not isinstance(weight, LearnedWeight):
        raise RszooError(f"expected a fixed, learned or gradient weight, got {weight!r}")
    stored = LearnedConfig(
        alpha_min=weight.network.alpha_min,
        alpha_max=weight.network.alpha_max,
        hidden=weight.network.hidden.out_features,
        weights_sha256=hashlib.sha256(weights_of(weight.network)).hexdigest(),
    )
    return stored, weight.network


def _weight(bundle: Bundle, config: MixedConfig, *, device: "Device") -> "Weight":
    from rszoo.smoothing.mixing_weights import FixedWeight, GradientWeight, LearnedWeight

    stored = config.weight
    if isinstance(stored, FixedConfig):
        return FixedWeight(stored.alpha_mix)
    if isinstance(stored, GradientConfig):
        return GradientWeight(stored.scale)
    network = _mixing_network(bundle, stored).to(device)
    return LearnedWeight(network)


def _mixing_network(bundle: Bundle, stored: LearnedConfig) -> "MixingNetwork":
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from rszoo.networks.mixing import MixingNetwork

    file = bundle.manifest.files.get(WEIGHTS)
    if file is None or file.sha256 != stored.weights_sha256:
        raise IntegrityError(
            WEIGHTS,
            expected=f"a mixing network with digest {stored.weights_sha256}",
            actual="none" if file is None else file.sha256,
            hint=DAMAGED,
        )
    network = MixingNetwork(stored.hidden, alpha_min=stored.alpha_min, alpha_max=stored.alpha_max)
    try:
        network.load_state_dict(load_file(bundle.path / WEIGHTS), strict=True)
    except (RuntimeError, SafetensorError) as error:
        raise IntegrityError(
            WEIGHTS,
            expected=f"a mixing network with {stored.hidden} hidden units",
            actual="other content",
            hint=DAMAGED,
        ) from error
    return network.eval()

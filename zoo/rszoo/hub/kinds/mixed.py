"""Bundles that mix a standard network and a smoothed one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rszoo.certificates.base import applied_sigma
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.card_text import CardText, certifying, made_of
from rszoo.hub.config import BundleConfig
from rszoo.hub.configs.mixed import FixedConfig, GradientConfig, MixedConfig
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.kind import Early, Kind, listed_parts, stated_noise
from rszoo.hub.kinds._weights import mixing_network, stored_weight
from rszoo.hub.kinds.network import of_kind, smoothed_classifier
from rszoo.hub.parts import part_in, part_of, write_composed
from rszoo.smoothing.execution import Execution
from rszoo.theory.mixing import lost_radius

if TYPE_CHECKING:
    from torch import device as Device

    from rszoo.smoothing.mixed import MixedClassifier
    from rszoo.smoothing.mixing_weights import LearnedWeight, Weight

__all__ = ["KINDS", "compose_mixed", "learned_weight"]


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
    config = _check_parts(standard, robust)
    stored, network = stored_weight(weight)
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
    return write_composed(
        folder, mixed, parts=[standard, robust], network=network, overwrite=overwrite
    )


def learned_weight(bundle: Bundle, *, standard: Bundle, robust: Bundle) -> "LearnedWeight":
    """Return the weight that was trained for two bundles.

    Raises:
        RszooError: the bundle is of another kind, or was trained for others.
    """
    from rszoo.networks.mixing import MixingNetwork
    from rszoo.smoothing.mixing_weights import LearnedWeight

    of_kind(
        bundle,
        "weight",
        "expected the weight of a mix, got a {kind} bundle; rszoo train mixing trains one",
    )
    taught = [parent.weights_sha256 for parent in bundle.manifest.origin.parents]
    if taught != [standard.weights_digest, robust.weights_digest]:
        raise RszooError(
            f"{bundle.id}: expected the parts that it was trained for, got {standard.id} and "
            f"{robust.id}; train it for these (rszoo train mixing)"
        )
    _, network = bundle.network().children()  # the first normalises images
    if not isinstance(network, MixingNetwork):
        raise RszooError(f"{bundle.id}: expected a network 'mixing', got {network!r}")
    return LearnedWeight(network)


def _classifier(bundle: Bundle, execution: Execution) -> "MixedClassifier":
    from rszoo.smoothing.mixed import MixedClassifier

    config = _config(bundle.config)
    robust = part_of(bundle, config.robust)
    standard = part_of(bundle, config.standard)
    of_kind(standard, "standard", f"expected a standard bundle as the part of {bundle.id}")
    made_of = _check_parts(standard, robust)
    stated = (made_of.sigma, made_of.class_names, made_of.input_shape)
    if stated != (config.sigma, config.class_names, config.input_shape):
        raise RszooError(f"{bundle.id}: expected the sigma, classes and inputs of {robust.id}")
    smoothed = smoothed_classifier(robust, execution)
    return MixedClassifier(
        standard.network(), smoothed, weight=_weight(bundle, config, device=smoothed.device)
    )


def _check_parts(standard: Bundle, robust: Bundle) -> NetworkConfig:
    """Refuse parts that do not fit together; return the config of the robust one."""
    other = of_kind(standard, "standard", "expected a standard bundle, got a {kind} one")
    config = of_kind(
        robust,
        "smoothed",
        "expected a smoothed bundle, got a {kind} one; rszoo compose mixed-standard takes one "
        "that is trained without noise as --robust",
    )
    if (other.input_shape, other.class_names) != (config.input_shape, config.class_names):
        raise RszooError(
            f"{standard.id}: expected the inputs and classes of {robust.id}, got others"
        )
    return config


def _weight(bundle: Bundle, config: MixedConfig, *, device: "Device") -> "Weight":
    from rszoo.smoothing.mixing_weights import FixedWeight, GradientWeight, LearnedWeight

    stored = config.weight
    if isinstance(stored, FixedConfig):
        return FixedWeight(stored.alpha_mix)
    if isinstance(stored, GradientConfig):
        return GradientWeight(stored.scale)
    network = mixing_network(bundle, stored).to(device)
    return LearnedWeight(network)


def _early(bundle: Bundle) -> Early | None:
    alpha_mix, sigma = _config(bundle.config).alpha_mix, bundle.config.noise
    if alpha_mix is None or sigma is None:
        return None
    return Early(ways=[[sigma]], lost=lost_radius(applied_sigma(sigma), alpha_mix))


def _stated(config: BundleConfig) -> dict[str, Any]:
    return {**stated_noise(config), "alpha_mix": _config(config).alpha_mix}


def _composition(config: BundleConfig) -> dict[str, Any]:
    return {**listed_parts(config), "weight": _config(config).weight.model_dump()}


def _card(config: BundleConfig, repo: str) -> CardText:
    if _config(config).alpha_mix is not None:
        return certifying(made_of(config), repo)
    return CardText(
        called="An image classifier",
        about=made_of(config),
        use=[f"It predicts, and certifies nothing: `rszoo predict --model {repo} photo.png`."],
    )


def _config(config: BundleConfig) -> MixedConfig:
    assert isinstance(config, MixedConfig)
    return config


KINDS = {
    "mixed": Kind(
        classifier=_classifier,
        smoothed=None,
        network=Bundle.network,
        early=_early,
        certificates=("mixed", "mixed_early"),
        stated=_stated,
        roles=lambda config: ("standard", "robust"),
        composition=_composition,
        card=_card,
        fits_noise=False,
        is_model=True,
    )
}

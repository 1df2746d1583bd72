"""Bundles that mix two networks without noise: an accurate one and one that withstands attacks.

Bai, Anderson, Kim and Sojoudi (2024), Improving the Accuracy-Robustness Trade-Off of Classifiers
via Adaptive Smoothing, https://arxiv.org/abs/2301.12554, in their own setting: the robust part is
trained adversarially. They certify nothing here, since that needs a bound on how fast the robust
part changes, which nobody has of such a network.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.card_text import CardText, made_of
from rszoo.hub.config import BundleConfig
from rszoo.hub.configs.mixed import FixedConfig, LearnedConfig
from rszoo.hub.configs.mixed_standard import MixedStandardConfig
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.kind import Kind, listed_parts, never_early, stated_noise
from rszoo.hub.kinds._weights import mixing_network, stored_weight
from rszoo.hub.kinds.network import of_kind
from rszoo.hub.parts import part_in, part_of, write_composed
from rszoo.smoothing.execution import Execution

if TYPE_CHECKING:
    from rszoo.networks.mixing import LogMix, MixingNetwork
    from rszoo.smoothing.mixing_weights import Weight
    from rszoo.smoothing.standard import StandardClassifier

__all__ = ["KINDS", "compose_mixed_standard"]


def compose_mixed_standard(
    folder: Path,
    *,
    standard: Bundle,
    robust: Bundle,
    weight: "Weight",
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle that mixes two networks without noise.

    Args:
        folder: the new bundle; its name is the bundle's.
        standard: the accurate one, of kind "standard".
        robust: the one that withstands attacks, of the same kind, inputs and classes.
        weight: of the robust part, fixed or learned; the network of a learned one goes into the
            bundle.
        overwrite: replace an existing bundle.

    Raises:
        RszooError: the parts do not fit together, the weight is by a gradient, or the folder
            exists.
    """
    made_of = _check_parts(standard, robust)
    stored, network = stored_weight(weight)
    if not isinstance(stored, FixedConfig | LearnedConfig):
        raise RszooError(f"expected a fixed or a learned weight, got {weight!r}")
    config = MixedStandardConfig(
        name=folder.name,
        method="mixed_standard",
        dataset=made_of.dataset,
        input_shape=made_of.input_shape,
        class_names=made_of.class_names,
        standard=part_in(folder, standard),
        robust=part_in(folder, robust),
        weight=stored,
    )
    return write_composed(
        folder, config, parts=[standard, robust], network=network, overwrite=overwrite
    )


def _check_parts(standard: Bundle, robust: Bundle) -> NetworkConfig:
    """Refuse parts that do not fit together; return the config of the robust one."""
    other, config = (
        of_kind(
            part,
            "standard",
            "expected a standard bundle, got a {kind} one; rszoo compose mixed takes a smoothed "
            "part as --robust",
        )
        for part in (standard, robust)
    )
    if (other.input_shape, other.class_names) != (config.input_shape, config.class_names):
        raise RszooError(
            f"{standard.id}: expected the inputs and classes of {robust.id}, got others"
        )
    return config


def _network(bundle: Bundle) -> "LogMix":
    from rszoo.networks.mixing import LogMix

    config = _config(bundle.config)
    standard, robust = part_of(bundle, config.standard), part_of(bundle, config.robust)
    made_of = _check_parts(standard, robust)
    if (made_of.class_names, made_of.input_shape) != (config.class_names, config.input_shape):
        raise RszooError(f"{bundle.id}: expected the classes and inputs of {robust.id}")
    return LogMix(standard.network(), robust.network(), _weighing(bundle, config)).eval()


def _weighing(bundle: Bundle, config: MixedStandardConfig) -> "MixingNetwork":
    from rszoo.networks.mixing import MixingNetwork

    if isinstance(stored := config.weight, LearnedConfig):
        return mixing_network(bundle, stored)
    return MixingNetwork(1, alpha_min=stored.alpha_mix, alpha_max=stored.alpha_mix)


def _classifier(bundle: Bundle, execution: Execution) -> "StandardClassifier":
    from rszoo.smoothing.standard import StandardClassifier

    config = bundle.config
    return StandardClassifier(
        _network(bundle),
        num_classes=len(config.class_names),
        input_shape=config.input_shape,
        class_names=config.class_names,
        device=execution.device,
        precision=execution.precision,
    )


def _composition(config: BundleConfig) -> dict[str, Any]:
    return {**listed_parts(config), "weight": _config(config).weight.model_dump()}


def _card(config: BundleConfig, repo: str) -> CardText:
    return CardText(
        called="An image classifier",
        about="It mixes an accurate network with one that is trained against attacks, without "
        f"noise, and certifies nothing. {made_of(config)}",
        use=[
            f"It predicts: `rszoo predict --model {repo} photo.png`. What it withstands is "
            f"bounded from above by `rszoo attack {repo}`."
        ],
    )


def _config(config: BundleConfig) -> MixedStandardConfig:
    assert isinstance(config, MixedStandardConfig)
    return config


KINDS = {
    "mixed_standard": Kind(
        classifier=_classifier,
        smoothed=None,
        network=_network,
        early=never_early,
        certificates=(),
        stated=stated_noise,
        roles=lambda config: ("standard", "robust"),
        composition=_composition,
        card=_card,
        fits_noise=False,
        is_model=False,
    )
}

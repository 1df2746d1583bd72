"""Bundles of low-rank changes of the weights of another bundle's network.

Hu et al. (2022), LoRA: Low-Rank Adaptation of Large Language Models,
https://arxiv.org/abs/2106.09685. Several of them, for several noise levels, are over one backbone,
which is stored and loaded once.
"""

from typing import TYPE_CHECKING, Any

from rszoo.errors import IntegrityError, RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.card_text import certifying, made_of
from rszoo.hub.config import BundleConfig
from rszoo.hub.configs.adapted import AdaptedConfig
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.files import WEIGHTS
from rszoo.hub.kind import OF_ONE_NETWORK, Kind, early_alone, listed_parts, stated_noise
from rszoo.hub.kinds._shared import once
from rszoo.hub.kinds.network import smoothed
from rszoo.hub.manifest import DAMAGED
from rszoo.hub.parts import part_of
from rszoo.hub.weights import load_weights
from rszoo.smoothing.execution import Execution
from rszoo.theory.rounding import as_stated

if TYPE_CHECKING:
    from torch import nn

    from rszoo.smoothing.classifier import SmoothedClassifier

__all__ = ["KINDS", "check_backbone"]


def check_backbone(backbone: Bundle) -> NetworkConfig:
    """Return the config of a bundle whose network can be adapted.

    Raises:
        RszooError: it has no network of its own, or one that does not classify images.
    """
    config = backbone.of_network
    if config.kind not in ("smoothed", "standard"):
        raise RszooError(
            f"{backbone.id}: expected a network that classifies, to adapt, got one of kind "
            f"{config.kind!r}"
        )
    return config


def _smoothed(bundle: Bundle, execution: Execution) -> "SmoothedClassifier":
    config = bundle.config
    assert isinstance(config, AdaptedConfig)
    backbone = part_of(bundle, config.backbone)
    made_of = check_backbone(backbone)
    if (made_of.input_shape, made_of.class_names) != (config.input_shape, config.class_names):
        raise RszooError(
            f"{bundle.id}: expected the inputs and classes of its backbone, got others; train it "
            "anew"
        )
    _check_weights(bundle, config)
    network = once(backbone.weights_digest, backbone.network)
    return smoothed(bundle, _adapted(bundle, config, network), execution)


def _check_weights(bundle: Bundle, config: AdaptedConfig) -> None:
    """Refuse other weights than those that the config, and with it the bundle's digest, names."""
    file = bundle.manifest.files[WEIGHTS]
    if file.sha256 != config.weights_sha256:
        raise IntegrityError(
            WEIGHTS,
            expected=f"adapters with digest {config.weights_sha256}",
            actual=file.sha256,
            hint=DAMAGED,
        )


def _adapted(bundle: Bundle, config: AdaptedConfig, backbone: "nn.Module") -> "nn.Module":
    """Return a backbone with the changes that a bundle holds, in eval mode."""
    from rszoo.networks.low_rank import Adapted, Adapters

    called = f"the {config.summary} of {config.backbone.id}"
    network = Adapted(backbone, rank=config.rank, alpha=config.alpha)
    adapters = Adapters(network)
    load_weights(adapters, bundle.path, called=called)
    return network.eval()


def _composition(config: BundleConfig) -> dict[str, Any]:
    assert isinstance(config, AdaptedConfig)
    return {**listed_parts(config), "rank": config.rank, "alpha": config.alpha}


KINDS = {
    "adapted": Kind(
        classifier=_smoothed,
        smoothed=_smoothed,
        network=Bundle.network,
        early=early_alone,
        certificates=OF_ONE_NETWORK,
        stated=stated_noise,
        roles=lambda config: ("backbone",),
        composition=_composition,
        card=lambda config, repo: certifying(
            f"It holds low-rank {config.summary} for the network of another model, whose weights "
            "are not changed; what is smoothed, by Gaussian noise of standard deviation "
            f"{as_stated(config.noise or 0.0)}, and certified is both together. {made_of(config)}",
            repo,
        ),
        fits_noise=False,
        is_model=True,
    )
}

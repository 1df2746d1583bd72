"""How the weight of a mix gets into a bundle and out of it, whatever it mixes."""

import hashlib
from typing import TYPE_CHECKING

from rszoo.errors import IntegrityError, RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.configs.mixed import FixedConfig, GradientConfig, LearnedConfig
from rszoo.hub.files import WEIGHTS
from rszoo.hub.manifest import DAMAGED
from rszoo.hub.weights import load_weights
from rszoo.hub.writing import weights_of

if TYPE_CHECKING:
    from rszoo.networks.mixing import MixingNetwork
    from rszoo.smoothing.mixing_weights import Weight

__all__ = ["mixing_network", "stored_weight"]


def stored_weight(
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


def mixing_network(bundle: Bundle, stored: LearnedConfig) -> "MixingNetwork":
    """Return the network of a learned weight, in eval mode, on the CPU.

    Raises:
        IntegrityError: the bundle holds another one.
    """
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
    called = f"a mixing network with {stored.hidden} hidden units"
    load_weights(network, bundle.path, called=called)
    return network.eval()

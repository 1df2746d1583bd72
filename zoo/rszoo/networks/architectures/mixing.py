"""The network that weighs a mix, see `rszoo.networks.mixing`; it takes two logits, not images."""

from typing import Annotated

from annotated_types import Ge, Gt, Le
from torch import nn

from rszoo.errors import RszooError
from rszoo.networks.mixing import MixingNetwork

#: How much the smoothed one of two classifiers is to count.
GIVES = "weight"

_Units = Annotated[int, Ge(1), Le(4096)]
_Weight = Annotated[float, Gt(0.5), Le(1.0)]


def build(
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    hidden: _Units = 16,
    alpha_min: _Weight = 0.84,
    alpha_max: _Weight = 0.99,
) -> nn.Module:
    """Return a mixing network; it fits images and classes of any number."""
    del input_shape, num_classes
    try:
        return MixingNetwork(hidden, alpha_min=alpha_min, alpha_max=alpha_max)
    except ValueError as error:
        raise RszooError(f"network 'mixing': {error}; change network.alpha_min") from None

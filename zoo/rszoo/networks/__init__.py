"""Networks by name, with their input normalisation inside.

A network takes images in [0, 1], so that noise and radii are in pixel units, and normalises them
itself. The registry is the folder `architectures`: one file per architecture, the file's name is
the network's name, and each file defines one function `build(*, input_shape, num_classes,
<options>)`. One of them, `mixing`, takes what two other networks answer in place of images.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rszoo import _registry
from rszoo.errors import RszooError
from rszoo.networks.statistics import ChannelStatistics

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ChannelStatistics", "build", "names", "options"]

_ARCHITECTURES = f"{__name__}.architectures"
_GIVEN = {"input_shape", "num_classes"}


def names() -> list[str]:
    """Return the names that `build` knows, sorted."""
    return _registry.names(_ARCHITECTURES)


def options(name: str) -> dict[str, inspect.Parameter]:
    """Return the options of the architecture `name`, each with its type and default.

    Raises:
        RszooError: no architecture has this name.
    """
    # Evaluated: a file may begin with `from __future__ import annotations`.
    parameters = inspect.signature(_architecture(name), eval_str=True).parameters
    return {key: value for key, value in parameters.items() if key not in _GIVEN}


def build(
    name: str,
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    normalization: ChannelStatistics | None = None,
    **network_options: Any,  # forwarded to a signature that rejects unknown keys
) -> "nn.Sequential":
    """Return `Sequential(normalisation, network)` with fresh weights.

    Args:
        name: one of `names()`.
        input_shape: channels, height, width of one image.
        num_classes: number of logits.
        normalization: per-channel mean and standard deviation; None leaves images as they are.
        **network_options: the architecture's own options, see `options`.

    Returns:
        A module from images [B, C, H, W] in [0, 1] to logits [B, num_classes]. Its state dict
        holds the network alone, every key beginning with "1.", as in the checkpoints of the
        original research code.

    Raises:
        RszooError: unknown name or option, an option of the wrong type, or a shape that the
            architecture cannot take.
    """
    from torch import nn

    from rszoo.networks.normalize import first_layer

    _check_options(name, network_options)
    network = _architecture(name)(
        input_shape=input_shape, num_classes=num_classes, **network_options
    )
    return nn.Sequential(first_layer(normalization), network)


def _check_options(name: str, given: Mapping[str, object]) -> None:
    """Refuse options that an architecture lacks, or that are not of its type or range."""
    from pydantic import TypeAdapter, ValidationError

    allowed = options(name)
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        raise RszooError(f"network {name!r} has no options {unknown}; it takes {sorted(allowed)}")
    for key, value in given.items():
        try:
            TypeAdapter(allowed[key].annotation).validate_python(value, strict=True)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]["msg"]
            raise RszooError(
                f"network {name!r} expects another {key}, got {value!r}: {problem}"
            ) from None


def _architecture(name: str) -> "Callable[..., nn.Module]":
    return _registry.load(_ARCHITECTURES, name, kind="network").build

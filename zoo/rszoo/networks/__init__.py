"""Networks by name, with their input normalisation inside.

A network takes images in [0, 1], so that noise and radii are in pixel units, and normalises them
itself. A name is one of three:

- `NAME`: a file of the folder `architectures`, which defines one function
  `build(*, input_shape, num_classes, <options>)`. Its constant `GIVES` says what the network gives
  if not logits: "images" for a denoiser, "weight" for one that takes what two other networks
  answer, in place of images.
- `LIBRARY:MODEL`: a network that another library builds; the folder `libraries` has one file for
  each, such as `torchvision:resnet18`.
- a name that an installed package registers (`rszoo.networks.registered`).
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from rszoo import _registry
from rszoo.errors import RszooError, unknown_name
from rszoo.networks import registered
from rszoo.networks.library import Library, Package, package_named, shortened
from rszoo.networks.statistics import ChannelStatistics

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "ChannelStatistics",
    "build",
    "check_known",
    "gives",
    "library_of",
    "names",
    "options",
    "outline",
    "package_of",
]

_ARCHITECTURES = f"{__name__}.architectures"
_LIBRARIES = f"{__name__}.libraries"
_GIVEN = {"input_shape", "num_classes"}

# Of a network that another library builds: what it makes itself, such as the places of patches
# relative to each other, grows with the fourth power of the side, and stands in no file.
_MOST_BUFFERS = 1 << 28


def names() -> list[str]:
    """Return the names of rszoo's own networks, sorted."""
    return _registry.names(_ARCHITECTURES)


def library_of(name: str) -> tuple[Library, str] | None:
    """Return the library that a name begins with, and the name of the network there.

    Raises:
        RszooError: there is no such library.
    """
    library, colon, model = name.partition(":")
    if not colon:
        return None
    found = _registry.load(_LIBRARIES, library, kind="library of networks")
    return found.LIBRARY, model


def check_known(name: str) -> None:
    """Refuse a network that the library which it names does not know, where that is installed.

    Raises:
        RszooError: it does not, or there is no such library.
    """
    found = library_of(name)
    if found is not None and package_named(found[0].package) is not None:
        library, model = found
        library.facts(model)


def gives(name: str) -> str:
    """Return what a network gives: "logits", "images" or "weight".

    Raises:
        RszooError: its library is unknown.
    """
    if name not in names():
        found = library_of(name)
        return "logits" if found is None else found[0].gives
    return getattr(_registry.load(_ARCHITECTURES, name, kind="network"), "GIVES", "logits")


def package_of(name: str) -> Package | None:
    """Return the package that a network comes from, as it is installed; None: rszoo, or none."""
    if name in names():
        return None
    found = library_of(name)
    return registered.package_of(name) if found is None else package_named(found[0].package)


def options(name: str) -> dict[str, inspect.Parameter]:
    """Return the options of a network, each with its type and default.

    Raises:
        RszooError: there is no network of this name.
    """
    # Evaluated: a file may begin with `from __future__ import annotations`.
    parameters = inspect.signature(_builder(name), eval_str=True).parameters
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
        name: one of `names()`, `LIBRARY:MODEL`, or a name that an installed package registers.
        input_shape: channels, height, width of one image.
        num_classes: number of logits.
        normalization: per-channel mean and standard deviation; None leaves images as they are.
        **network_options: the architecture's own options, see `options`.

    Returns:
        A module from images [B, C, H, W] in [0, 1] to logits [B, num_classes]. Its state dict
        holds the network alone, every key beginning with "1.", as in the checkpoints of the
        original research code. A classifier that is not rszoo's own has a third layer, which
        takes the logits out of what it answers.

    Raises:
        RszooError: unknown name or option, an option of the wrong type, a library that is not
            installed, or a shape that the architecture cannot take.
    """
    from torch import nn

    from rszoo.networks.logits import Logits
    from rszoo.networks.normalize import first_layer

    values = _checked_options(name, network_options)
    own = name in names()
    try:
        network = _builder(name)(input_shape=input_shape, num_classes=num_classes, **values)
    except RszooError:
        raise
    except Exception as error:
        if own:
            raise
        raise _misfit(name, input_shape, num_classes, error) from error
    layers = [] if own or gives(name) != "logits" else [Logits()]
    return nn.Sequential(first_layer(normalization), network, *layers)


def outline(
    name: str, *, input_shape: tuple[int, int, int], num_classes: int, **others: Any
) -> "nn.Sequential":
    """Return the network of `build` with weights that have shapes and no values.

    One that is not rszoo's own is tried on an image without values, so that a size of images that
    it cannot take is found before any memory is taken.

    Raises:
        RszooError: as `build`, or it gives no logits `[B, num_classes]`, or no images.
    """
    import torch

    with torch.device("meta"):
        network = build(name, input_shape=input_shape, num_classes=num_classes, **others)
        if name in names():
            return network
        try:
            with torch.no_grad():
                answer = network.eval()(torch.zeros(1, *input_shape))
        except RszooError:
            raise
        except Exception as error:
            raise _misfit(name, input_shape, num_classes, error) from error
    held = sum(one.nbytes for one in network.buffers())
    if held > _MOST_BUFFERS:
        raise RszooError(
            f"network {name!r}: expected tables of at most {_MOST_BUFFERS:,} bytes for images of "
            f"{input_shape}, got {held:,}; use smaller images"
        )
    given = gives(name)
    expected = (1, *input_shape) if given == "images" else (1, num_classes)
    if answer.shape != expected:
        raise RszooError(
            f"network {name!r}: expected {given} of shape {expected} for one image, got "
            f"{tuple(answer.shape)}"
        )
    return network


def _misfit(
    name: str, input_shape: tuple[int, int, int], num_classes: int, error: Exception
) -> RszooError:
    size = "x".join(map(str, input_shape))
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    return RszooError(
        f"network {name!r} cannot be built for images of {size} and {num_classes} classes: "
        f"{reason}; choose other options, or images of another size"
    )


def _checked_options(name: str, given: Mapping[str, object]) -> dict[str, Any]:
    """Return options as a network takes them; refuse those that it lacks, or of another type."""
    from pydantic import TypeAdapter, ValidationError

    allowed = options(name)
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        raise RszooError(
            f"network {name!r} has no options {shortened(unknown)}; it takes {sorted(allowed)}"
        )
    needed = [key for key, option in allowed.items() if option.default is option.empty]
    if missing := sorted(set(needed) - set(given)):
        raise RszooError(f"network {name!r} needs the options {missing}, got {sorted(given)}")
    values = {}
    for key, value in given.items():
        try:
            values[key] = TypeAdapter(allowed[key].annotation).validate_python(value, strict=True)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]["msg"]
            raise RszooError(
                f"network {name!r} expects another {key}, got {shortened(value)}: {problem}"
            ) from None
    return values


def _builder(name: str) -> "Callable[..., nn.Module]":
    known = names()
    if name in known:
        return _registry.load(_ARCHITECTURES, name, kind="network").build
    found = library_of(name)
    if found is not None:
        library, model = found
        return partial(library.build, model)
    if name in registered.names():
        return registered.builder(name)
    unknown = unknown_name("network", name, [*known, *registered.names()])
    raise RszooError(f"{unknown}, or of a library, such as torchvision:resnet18")

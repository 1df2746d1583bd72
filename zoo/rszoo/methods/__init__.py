"""Training methods. One file, one pure function `loss`; the file's name is the method's name.

    loss(model, x, y, <per-example data>, *, sigma, progress, <weights>) -> scalar

- `model` maps images to logits, `x` is `[B, C, H, W]` in [0, 1], `y` is `[B]`;
- positional parameters after `y` name the per-example data that the method needs; the training
  loop supplies them;
- `sigma` is the noise level, `progress` in (0, 1] the share of training that is done after this
  step, for warm-ups;
- the remaining keyword-only parameters are the method's weights, annotated with their range and
  defaulting to the paper's value. A recipe sets them.

A method whose per-example data change while the network learns has a second function,

    refresh(model, x, y, <what it renews>, *, sigma, first, <weights>) -> its new values

which the loop calls on all training images, `refreshes` times at equal distances, the first after
the share `start` of the training; both are weights of the method. `first` says that it is the
first time.

A `loss` that looks at `progress` may say what it makes of it, in a function

    phase(progress, *, <weights>) -> a value, equal where `loss` is the same function of the rest

so that the loop knows for how long a step that it has recorded is the step to take
(`rszoo.training.captured`). Without one, every step is taken to be of another loss.

What a method is besides, constants of its file say:

- `TRAINS`: what it trains, if not a network to be smoothed. "standard": one that works without
  noise; sigma is 0. "router": one that tells which of several others serves an image best.
  "weight": that of a mix; `model` is a `rszoo.networks.mixing.Mix`. "denoiser": one that gives
  images; `model` is a `rszoo.networks.denoised.Denoising`;
- `WITHOUT_NOISE = True`: sigma is 0, though what it trains is no standard network;
- `STEADY = True`: `loss` does not look at `progress`;
- `PER_IMAGE_SIGMA = True`: `sigma` may also be a tensor `[B]`, a noise level for each image.

`loss` and `refresh` draw their noise from the global generator of the images' device, like
dropout; the loop seeds it. They know nothing of optimisers, epochs or logging. A `loss` that asks
the device for no number (no `.item()`, no `if` on a tensor) leaves it nothing to wait for.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, create_model

from rszoo import _registry
from rszoo.errors import RszooError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Method",
    "load",
    "names",
    "needs",
    "per_image_sigma",
    "trains",
    "weights",
    "without_noise",
]

# What a method may train, see `TRAINS`: the kinds of bundles with a network.
_Kind = Literal["smoothed", "standard", "router", "weight", "denoiser"]

_GIVEN_BY_LOOP = ("sigma", "progress", "first")


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method with its weights bound.

    Attributes:
        name: of the method.
        loss: as above.
        takes: the per-example data that `loss` takes, in its order.
        phase: as above, of the progress alone; None where every step is of another loss.
        refresh: as above; None when nothing is renewed.
        renews: the per-example data that `refresh` takes and gives; None without it.
        start, refreshes: when it is called.
    """

    name: str
    loss: "Callable[..., Tensor]"
    takes: tuple[str, ...] = ()
    phase: "Callable[[float], object] | None" = None
    refresh: "Callable[..., Tensor] | None" = None
    renews: str | None = None
    start: float = 0.0
    refreshes: int = 0

    def refreshes_before(self, epoch: int, epochs: int) -> bool:
        """Return whether per-example data are renewed before an epoch, counted from 0."""
        first = self.start * epochs
        distance = (epochs - first) / max(self.refreshes, 1)
        return epoch in {math.ceil(first + i * distance - 1e-9) for i in range(self.refreshes)}


def names() -> list[str]:
    """Return the names of all methods: the files of this folder."""
    return _registry.names(__name__)


def needs(name: str) -> tuple[str, ...]:
    """Return the names of the per-example data that a method takes or renews.

    Raises:
        RszooError: no such method.
    """
    found = [data for function in _functions(name).values() for data in _per_example(function)]
    return tuple(dict.fromkeys(found))


def trains(name: str) -> _Kind:
    """Return what kind of network a method trains: that of the bundles that it makes.

    Raises:
        RszooError: no such method, or its file says something else.
    """
    kind: _Kind = getattr(_module(name), "TRAINS", "smoothed")
    if kind not in get_args(_Kind):
        raise RszooError(
            f"method {name!r}: expected TRAINS to be one of {list(get_args(_Kind))}, got {kind!r}"
        )
    return kind


def without_noise(name: str) -> bool:
    """Return whether the noise level of a method is 0.

    Raises:
        RszooError: no such method.
    """
    return trains(name) == "standard" or getattr(_module(name), "WITHOUT_NOISE", False)


def per_image_sigma(name: str) -> bool:
    """Return whether a method takes a noise level for each image.

    Raises:
        RszooError: no such method.
    """
    return getattr(_module(name), "PER_IMAGE_SIGMA", False)


@cache
def weights(name: str) -> type[BaseModel]:
    """Return a model of a method's weights: unknown keys, types and ranges are errors.

    Raises:
        RszooError: no such method.
    """
    fields: dict[str, Any] = {}
    for function in _functions(name).values():
        fields |= {p.name: (p.annotation, p.default) for p in _weight_parameters(function)}
    config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    return create_model(f"{name}_weights", __config__=config, **fields)


def load(name: str, **values: Any) -> Method:
    """Return a method with its weights bound.

    Args:
        name: one of `names()`.
        values: weights that differ from the paper's defaults.

    Raises:
        RszooError: no such method.
        pydantic.ValidationError: a weight is unknown, of the wrong type or out of range.
    """
    given = weights(name)(**values).model_dump()
    bound = {
        kind: partial(function, **{p.name: given[p.name] for p in _weight_parameters(function)})
        for kind, function in _functions(name).items()
    }
    method = Method(
        name=name,
        loss=bound["loss"],
        takes=_per_example(bound["loss"]),
        phase=_phase(_module(name), given),
    )
    if "refresh" not in bound:
        return method
    (renews,) = _per_example(bound["refresh"])
    timing = {key: given[key] for key in ("start", "refreshes")}
    return replace(method, refresh=bound["refresh"], renews=renews, **timing)


def _phase(module: ModuleType, given: dict[str, Any]) -> "Callable[[float], object] | None":
    if getattr(module, "STEADY", False):
        return lambda progress: None
    if not hasattr(module, "phase"):
        return None
    _, *weights = inspect.signature(module.phase).parameters
    return partial(module.phase, **{name: given[name] for name in weights})


def _functions(name: str) -> "dict[str, Callable[..., Tensor]]":
    """Return `loss`, and `refresh` where there is one."""
    module = _module(name)
    return {kind: getattr(module, kind) for kind in ("loss", "refresh") if hasattr(module, kind)}


def _module(name: str) -> ModuleType:
    return _registry.load(__name__, name, kind="method")


def _per_example(function: "Callable[..., Tensor]") -> tuple[str, ...]:
    """Return the names of the positional parameters after `model`, `x` and `y`."""
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)[3:]


def _weight_parameters(function: "Callable[..., Tensor]") -> list[inspect.Parameter]:
    # Evaluated: a file may begin with `from __future__ import annotations`.
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    return [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in _GIVEN_BY_LOOP]

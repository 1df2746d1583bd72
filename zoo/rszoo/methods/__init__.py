"""Training methods. One file, one pure function `loss`; the file's name is the method's name.

    loss(model, x, y, <per-example data>, *, sigma, progress, <weights>) -> scalar

- `model` maps images to logits, `x` is `[B, C, H, W]` in [0, 1], `y` is `[B]`;
- positional parameters after `y` name the per-example data that the method needs; the training
  loop supplies them (`needs`);
- `sigma` is the noise level, `progress` in (0, 1] the share of training that is done after this
  step, for warm-ups;
- the remaining keyword-only parameters are the method's weights, annotated with their range and
  defaulting to the paper's value. A recipe sets them.

A loss draws its own noise from the global generator, like dropout; the loop seeds it. It knows
nothing of optimisers, epochs or logging.
"""

import inspect
import pkgutil
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model
from torch import Tensor

from rszoo.errors import unknown_name

__all__ = ["load", "names", "needs", "weights"]

_GIVEN_BY_LOOP = ("sigma", "progress")


def names() -> list[str]:
    """Return the names of all methods: the files of this folder."""
    return sorted(
        module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")
    )


def _loss(name: str) -> Callable[..., Tensor]:
    if name not in names():
        raise unknown_name("method", name, names())
    return import_module(f"{__name__}.{name}").loss


def needs(name: str) -> tuple[str, ...]:
    """Return the names of the per-example data that a method takes after `x` and `y`."""
    parameters = inspect.signature(_loss(name)).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return tuple(positional[3:])


@cache
def weights(name: str) -> type[BaseModel]:
    """Return a model of a method's weights: unknown keys, types and ranges are errors.

    Raises:
        RszooError: no such method.
    """
    fields: dict[str, Any] = {
        p.name: (p.annotation, p.default)
        for p in inspect.signature(_loss(name)).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name not in _GIVEN_BY_LOOP
    }
    config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    return create_model(f"{name}_weights", __config__=config, **fields)


def load(name: str, **values: Any) -> Callable[..., Tensor]:
    """Return a method's loss with its weights bound.

    Args:
        name: one of `names()`.
        values: weights that differ from the paper's defaults.

    Raises:
        RszooError: no such method.
        pydantic.ValidationError: a weight is unknown, of the wrong type or out of range.
    """
    return partial(_loss(name), **weights(name)(**values).model_dump())

"""The step of a diffusion model whose noise is that of the images, by its published schedule.

A `scheduler_config.json` of diffusers says how much noise the model was trained for at each
timestep. What it says of how to draw images, in many steps, is of no use for one step.
"""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from annotated_types import Ge, Gt, Le, Len, Lt
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from rszoo.errors import RszooError, did_you_mean
from rszoo.networks.diffusion import AtTimestep, OfConsistency
from rszoo.networks.library import shortened

__all__ = ["alpha_bars", "step_of"]

_Beta = Annotated[float, Gt(0), Lt(1)]
_Noise = Annotated[float, Gt(0), Le(10_000)]
M = TypeVar("M", bound=BaseModel)


class _Timesteps(BaseModel, strict=True, allow_inf_nan=False):
    """What schedulers of discrete timesteps say of the noise, with their defaults."""

    num_train_timesteps: Annotated[int, Ge(1), Le(10_000)] = 1000
    beta_start: _Beta = 0.0001
    beta_end: _Beta = 0.02
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid"] = "linear"
    trained_betas: Annotated[list[_Beta], Len(1, 10_000)] | None = None
    prediction_type: Literal["epsilon", "v_prediction", "sample"] = "epsilon"
    rescale_betas_zero_snr: Literal[False] = False


class _Consistency(BaseModel, strict=True, allow_inf_nan=False):
    """What the scheduler of consistency models says of the noise, with its defaults."""

    sigma_min: _Noise = 0.002
    sigma_max: _Noise = 80.0
    sigma_data: _Noise = 0.5


def step_of(scheduler: Mapping[str, Any], *, sigma: float) -> AtTimestep | OfConsistency:
    """Return the step of a model whose noise is nearest to that of images.

    Args:
        scheduler: content of its `scheduler_config.json`.
        sigma: noise level of images in [0, 1]. The model's images are in [-1, 1], where the noise
            is twice as large.

    Raises:
        RszooError: it says nothing that is known of the noise, or the noise is outside of the
            range that the model was trained for.
    """
    class_ = scheduler.get("_class_name")
    if not isinstance(class_, str) or class_ not in _STEPS:
        raise RszooError(
            f"expected a scheduler_config.json of one of {sorted(_STEPS)}, got "
            f"{shortened(class_)}{did_you_mean(class_, _STEPS)}; others say nothing of the noise "
            "that a network was trained for"
        )
    return _STEPS[class_](scheduler, 2 * sigma)


def alpha_bars(scheduler: Mapping[str, Any]) -> NDArray[np.floating[Any]]:
    """Return the share of the image in the variance at each timestep, falling.

    Raises:
        RszooError: a value of the scheduler's is unknown or out of range.
    """
    values = _read(_Timesteps, scheduler)
    count, start, end = values.num_train_timesteps, values.beta_start, values.beta_end
    if values.trained_betas is not None:
        betas = np.array(values.trained_betas)
    elif values.beta_schedule == "linear":
        betas = np.linspace(start, end, count)
    elif values.beta_schedule == "scaled_linear":
        betas = np.linspace(math.sqrt(start), math.sqrt(end), count) ** 2
    elif values.beta_schedule == "sigmoid":
        betas = start + (end - start) / (1 + np.exp(-np.linspace(-6, 6, count)))
    else:  # the squared cosine of Nichol and Dhariwal (2021), https://arxiv.org/abs/2102.09672
        left = np.cos((np.arange(count + 1) / count + 0.008) / 1.008 * math.pi / 2) ** 2
        betas = np.minimum(1 - left[1:] / left[:-1], 0.999)
    return np.cumprod(1 - betas)


def _at_timestep(scheduler: Mapping[str, Any], noise: float) -> AtTimestep:
    found = alpha_bars(scheduler)
    with np.errstate(divide="ignore"):
        noises = np.sqrt((1 - found) / found)
    _check_range(noise, float(noises[0]), float(noises[-1]))
    timestep = int(np.abs(noises - noise).argmin())
    return AtTimestep(
        prediction=_read(_Timesteps, scheduler).prediction_type,
        timestep=timestep,
        alpha_bar=float(found[timestep]),
    )


def _of_consistency(scheduler: Mapping[str, Any], noise: float) -> OfConsistency:
    values = _read(_Consistency, scheduler)
    _check_range(noise, values.sigma_min, values.sigma_max)
    return OfConsistency(
        prediction="consistency",
        sigma=noise,
        sigma_min=values.sigma_min,
        sigma_data=values.sigma_data,
    )


_STEPS: dict[str, Callable[[Mapping[str, Any], float], AtTimestep | OfConsistency]] = {
    "CMStochasticIterativeScheduler": _of_consistency,
    "DDIMScheduler": _at_timestep,
    "DDPMScheduler": _at_timestep,
    "PNDMScheduler": _at_timestep,
}


def _check_range(noise: float, lowest: float, highest: float) -> None:
    """Refuse noise, of images in [-1, 1], outside of what a model was trained for."""
    if not lowest <= noise <= highest:
        # Cut to what is certainly in the range; that of images in [0, 1] is half of it.
        low, high = math.ceil(lowest * 5000) / 10_000, math.floor(highest * 50) / 100
        raise RszooError(
            f"expected sigma from {low} to {high}, the noise that the model was trained for, got "
            f"{noise / 2}; choose another sigma, or another model"
        )


def _read(kind: type[M], scheduler: Mapping[str, Any]) -> M:
    try:
        return kind.model_validate(dict(scheduler))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0])
        raise RszooError(
            f"scheduler_config.json: expected another {key}, got {shortened(scheduler[key])}: "
            f"{first['msg']}"
        ) from None

"""One step of a diffusion model of diffusers, such as `diffusers:google/ddpm-cifar10-32`.

https://huggingface.co/docs/diffusers. What is after the colon says where the network comes from,
and is never looked up: its sizes are in the option `config`, and the step in the option `step`,
which an import takes from `config.json` and `scheduler_config.json` beside the weights. The
library builds an unconditional U-Net; its schedulers and its way to read files are not used.
"""

import importlib
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from torch import Tensor, nn

from rszoo._torchvision import import_torchvision
from rszoo.errors import RszooError
from rszoo.networks.diffusion import OneStep, Step
from rszoo.networks.libraries._diffusers_config import UNetConfig
from rszoo.networks.library import (
    Facts,
    Files,
    Library,
    Published,
    check_id,
    check_installed,
    shortened,
)
from rszoo.networks.noise_schedule import step_of

__all__ = ["LIBRARY"]

_LIKE = "google/ddpm-cifar10-32"

# What a config.json says of the images, of the library, or of a training; and of conditions, which
# have to be left empty.
_ASIDE = frozenset(("sample_size", "in_channels", "num_train_timesteps"))

# Networks of before diffusers 0.12 called the layers of their attention otherwise.
_RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_EARLIER = re.compile(rf"(.*\.attentions\.\d+)\.({'|'.join(_RENAMED)})\.(weight|bias)")


def build(
    model: str,
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    config: UNetConfig,
    step: Step,
) -> nn.Module:
    """Return a denoiser: one step of a diffusion model.

    Args:
        model: where it comes from, such as an id on a hub; nothing is looked up.
        input_shape: channels, height, width of one image.
        num_classes: not used, as a denoiser has none.
        config: those values of its `config.json` that are not the defaults.
        step: what is scaled by what, for which noise.

    Raises:
        RszooError: diffusers is not installed, or the network gives no images.
    """
    del num_classes
    check_id("diffusers", model, like=_LIKE)
    check_installed("diffusers", "diffusers", f"diffusers:{model}")
    channels, height, width = input_shape
    if config.out_channels not in (channels, 2 * channels):
        raise RszooError(
            f"network 'diffusers:{model}' gives {config.out_channels} channels, expected "
            f"{channels} or {2 * channels} for images of {channels}x{height}x{width}"
        )
    import_torchvision()  # before diffusers, which needs it
    # By its name, as type checkers seldom find what the tests do without.
    unet = importlib.import_module("diffusers").UNet2DModel
    return OneStep(unet(in_channels=channels, **config.model_dump()), step)


def _no_facts(model: str) -> Facts:
    """Return nothing: what is published stands in files beside the weights."""
    check_id("diffusers", model, like=_LIKE)
    return Facts()


def _published(
    model: str, config: Mapping[str, Any], scheduler: Mapping[str, Any], sigma: float
) -> Published:
    """Return what `config.json` and `scheduler_config.json` beside weights say.

    Raises:
        RszooError: the network is not one of diffusers that is built here, or was not trained for
            such noise.
    """
    check_id("diffusers", model, like=_LIKE)
    if config.get("_class_name") != "UNet2DModel":
        raise RszooError(
            "expected a config.json of a UNet2DModel, an unconditional network, got "
            f"{shortened(config.get('_class_name'))}"
        )
    step = step_of(scheduler, sigma=sigma)
    side, channels = config.get("sample_size"), config.get("in_channels", 3)
    shape = (channels, side, side) if isinstance(side, int) and isinstance(channels, int) else None
    return Published(
        options={"config": _sizes(config).model_dump(), "step": step.model_dump()},
        facts=Facts(input_shape=shape),
    )


def _sizes(config: Mapping[str, Any]) -> UNetConfig:
    """Return the sizes that a `config.json` says; refuse what it says besides."""
    known = UNetConfig.model_fields
    given = {key: value for key, value in config.items() if key in known}
    for key, value in config.items():
        if not (key in known or key in _ASIDE or key[:1] == "_" or value is None):
            raise RszooError(
                f"config.json: {shortened(key)} is not among the values that rszoo gives a "
                f"UNet2DModel, got {shortened(value)}; expected an unconditional network"
            )
    try:
        return UNetConfig.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "sizes"
        raise RszooError(
            f"config.json: {key}: {first['msg']}, got {shortened(first['input'])}"
        ) from None


def _renamed(
    weights: Mapping[str, Tensor], model: str, values: Mapping[str, Any]
) -> Mapping[str, Tensor]:
    """Return weights under the names that the library's network has within the step."""
    del model, values
    return {f"network.{_current(name)}": tensor for name, tensor in weights.items()}


def _current(name: str) -> str:
    found = _EARLIER.fullmatch(name)
    return f"{found[1]}.{_RENAMED[found[2]]}.{found[3]}" if found else name


LIBRARY = Library(
    package="diffusers",
    extra="diffusers",
    gives="images",
    files=Files(
        weights=(
            "diffusion_pytorch_model.safetensors",
            "unet/diffusion_pytorch_model.safetensors",
        ),
        config=("config.json", "unet/config.json"),
        settings=("scheduler_config.json", "scheduler/scheduler_config.json"),
    ),
    build=build,
    facts=_no_facts,
    published=_published,
    renamed=_renamed,
)

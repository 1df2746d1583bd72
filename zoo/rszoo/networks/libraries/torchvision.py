"""Classifiers of torchvision, such as `torchvision:resnet18`, without weights.

https://docs.pytorch.org/vision/stable/models.html. The input size of its vision transformers and
of MaxViT is that of the images; the first convolution takes as many channels as they have.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from rszoo._torchvision import import_torchvision
from rszoo.errors import RszooError, did_you_mean
from rszoo.networks.channels import with_channels
from rszoo.networks.library import Facts, Files, Library, Published

__all__ = ["LIBRARY"]

# Their sizes are computed with tensors, so that they cannot be built on no device.
_NOT_CHECKABLE = "regnet_"

# Of those two the published weights are for images in [-1, 1]: torchvision's networks undo the
# standardisation of ImageNet first, where they come with weights.
_INCEPTIONS = ("googlenet", "inception_v3")


def build(model: str, *, input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Return a classifier of torchvision.

    Raises:
        RszooError: torchvision has none of this name that can be checked before it is built.
    """
    builder = _models().get_model_builder(_checked(model))
    channels, height, width = input_shape
    values: dict[str, Any] = {}
    if model.startswith("vit_"):
        if height != width:
            raise RszooError(
                f"network 'torchvision:{model}' expects square images, got {height}x{width}"
            )
        values["image_size"] = height
    if model.startswith("maxvit_"):
        values["input_size"] = (height, width)
    if model in _INCEPTIONS:
        values["init_weights"] = False  # else a warning; and it takes half a minute
    network = builder(weights=None, num_classes=num_classes, **values)
    return with_channels(network, channels)


def facts(model: str) -> Facts:
    """Return what torchvision says of the weights that it loads by default."""
    weights = _models().get_model_weights(_checked(model)).DEFAULT
    preset = weights.transforms()
    (side,) = preset.crop_size
    return Facts(
        input_shape=(3, side, side),
        mean=(0.5, 0.5, 0.5) if model in _INCEPTIONS else tuple(preset.mean),
        std=(0.5, 0.5, 0.5) if model in _INCEPTIONS else tuple(preset.std),
        class_names=tuple(weights.meta["categories"]),
    )


def _published(
    model: str, config: Mapping[str, Any], processor: Mapping[str, Any], sigma: float
) -> Published:
    """Return what torchvision itself says: it writes no files beside weights."""
    del config, processor, sigma
    return Published(options={}, facts=facts(model))


def _renamed(
    weights: Mapping[str, Tensor], model: str, values: Mapping[str, Any]
) -> Mapping[str, Tensor]:
    """Return weights as they are: torchvision's files have the names of its networks."""
    del model, values
    return weights


def _checked(model: str) -> str:
    models = _models()
    known = [
        name for name in models.list_models(module=models) if not name.startswith(_NOT_CHECKABLE)
    ]
    if model not in known:
        raise RszooError(
            f"unknown network 'torchvision:{model}'{did_you_mean(model, known)}; expected one of "
            "torchvision.models.list_models(module=torchvision.models), but for RegNets"
        )
    return model


def _models() -> Any:  # noqa: ANN401  torchvision is untyped
    return import_torchvision().models


LIBRARY = Library(
    package="torchvision",
    extra=None,
    gives="logits",
    files=Files(),
    build=build,
    facts=facts,
    published=_published,
    renamed=_renamed,
)

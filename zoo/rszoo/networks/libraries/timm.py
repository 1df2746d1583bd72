"""Classifiers of timm, such as `timm:vit_tiny_patch16_224`, without weights.

https://huggingface.co/docs/timm. A network with a fixed input size takes that of the images. After
a dot the name may say which published weights are meant; nothing is fetched for it.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Ge, Le, Lt
from torch import Tensor, nn

from rszoo._torchvision import import_torchvision
from rszoo.errors import RszooError, did_you_mean
from rszoo.networks.library import (
    Facts,
    Files,
    Library,
    Published,
    check_installed,
    numbers_in,
    shortened,
)

__all__ = ["LIBRARY"]

_Rate = Annotated[float, Ge(0), Lt(1)]
_Pixels = Annotated[int, Ge(1), Le(256)]

# No scheme, such as hf-hub: or local-dir:, under which timm would look for files.
_NAME = re.compile(r"[a-z0-9_]{1,100}(\.[a-z0-9_]{1,100})?")


def build(
    model: str,
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    drop_rate: _Rate = 0.0,
    drop_path_rate: _Rate = 0.0,
    patch_size: _Pixels | None = None,
) -> nn.Module:
    """Return a classifier of timm.

    Args:
        model: its name there.
        input_shape: channels, height, width of one image.
        num_classes: number of logits.
        drop_rate: of the dropout before the last layer, in training.
        drop_path_rate: of stochastic depth, in training; 0 for networks without it.
        patch_size: of a transformer, in pixels; None: its own.

    Raises:
        RszooError: timm is not installed, or has no network of this name.
    """
    timm = _timm(model)
    channels, *size = input_shape
    published = timm.get_pretrained_cfg(model)
    values: dict[str, Any] = {"drop_rate": drop_rate}
    if drop_path_rate:
        values["drop_path_rate"] = drop_path_rate
    if patch_size is not None:
        values["patch_size"] = patch_size
    if published.fixed_input_size and list(published.input_size[1:]) != size:
        values["img_size"] = tuple(size)
    return timm.create_model(
        model, pretrained=False, num_classes=num_classes, in_chans=channels, **values
    )


def facts(model: str) -> Facts:
    """Return what timm says of the weights that it publishes under a name."""
    timm = _timm(model)
    published = timm.get_pretrained_cfg(model)
    names = published.label_names
    if names is None and published.num_classes == 1000:
        info = timm.data.ImageNetInfo()
        names = [info.index_to_description(index) for index in range(1000)]
    return Facts(
        input_shape=published.input_size,
        mean=published.mean,
        std=published.std,
        class_names=None if names is None else tuple(names),
    )


def _published(
    model: str, config: Mapping[str, Any], processor: Mapping[str, Any], sigma: float
) -> Published:
    """Return what the `config.json` beside published weights says."""
    del processor, sigma
    name, stated = model.partition(".")[0], config.get("architecture")
    if stated != name:
        raise RszooError(
            f"expected weights of the network {name!r}, got a config.json of {shortened(stated)}; "
            "state the network that it names"
        )
    if config.get("model_args"):
        raise RszooError(
            f"expected a network of timm as it is, got a config.json with model_args "
            f"{shortened(config['model_args'])}; state them with --option, and leave them out of "
            "the file"
        )
    values = config.get("pretrained_cfg")
    values = values if isinstance(values, Mapping) else {}
    size, names = values.get("input_size"), values.get("label_names")
    return Published(
        options={},
        facts=Facts(
            input_shape=tuple(size) if isinstance(size, list) and len(size) == 3 else None,
            mean=numbers_in(values.get("mean")),
            std=numbers_in(values.get("std")),
            class_names=tuple(map(str, names)) if isinstance(names, list) else None,
        ),
    )


def _renamed(
    weights: Mapping[str, Tensor], model: str, values: Mapping[str, Any]
) -> Mapping[str, Tensor]:
    """Return weights as they are: timm's files have the names of its networks."""
    del model, values
    return weights


def _timm(model: str) -> Any:  # noqa: ANN401  timm is untyped
    """Return timm, if it has the network."""
    check_installed("timm", "timm", f"timm:{model}")
    import_torchvision()  # before timm, which needs it
    import timm

    if not _NAME.fullmatch(model) or not timm.is_model(model):
        near = did_you_mean(model, timm.list_models())
        raise RszooError(
            f"unknown network 'timm:{model[:100]}'{near}; expected one of timm.list_models()"
        )
    return timm


LIBRARY = Library(
    package="timm",
    extra="timm",
    gives="logits",
    files=Files(),
    build=build,
    facts=facts,
    published=_published,
    renamed=_renamed,
)

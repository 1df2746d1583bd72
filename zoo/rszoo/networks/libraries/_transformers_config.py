"""The values of a `config.json` of transformers that a bundle may hold, and what is built of them.

Classes come from the list `CLASSES` and are built by their constructors, so that no file is read
and no code of others runs. What is not in `VALUES` does not reach them: `attn_implementation`,
`auto_map`, `trust_remote_code` or `quantization_config` are never passed on.
"""

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import TypeAdapter, ValidationError

from rszoo._torchvision import import_torchvision
from rszoo.errors import did_you_mean
from rszoo.networks.library import check_installed, shortened

__all__ = [
    "CLASSES",
    "VALUES",
    "checked_config",
    "class_of",
    "defaults_of",
    "library_config",
    "transformers",
]

# Class of the config and of the network, by what a config.json calls the type of its model.
CLASSES = {
    "beit": "Beit",
    "convnext": "ConvNext",
    "convnextv2": "ConvNextV2",
    "deit": "DeiT",
    "dinov2": "Dinov2",
    "dinov2_with_registers": "Dinov2WithRegisters",
    "regnet": "RegNet",
    "resnet": "ResNet",
    "swin": "Swin",
    "swinv2": "Swinv2",
    "vit": "ViT",
}

_Units = Annotated[int, Ge(1), Le(16_384)]
_Layers = Annotated[int, Ge(1), Le(256)]
_Rate = Annotated[float, Ge(0), Lt(1)]
_Scale = Annotated[float, Ge(0), Le(100)]
_Ratio = Annotated[int, Ge(1), Le(64)] | Annotated[float, Gt(0), Le(64)]
_Stages = Len(1, 16)

# What a config may say, and of which type. Size and channels of the images, and the classes, are
# those of the bundle.
VALUES: dict[str, Any] = {
    "hidden_size": _Units,
    "num_hidden_layers": _Layers,
    "num_attention_heads": _Units,
    "intermediate_size": Annotated[int, Ge(1), Le(65_536)],
    "hidden_act": Literal[
        "gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "relu6", "selu", "silu",
        "swish", "tanh",
    ],
    "hidden_dropout_prob": _Rate,
    "attention_probs_dropout_prob": _Rate,
    "drop_path_rate": _Rate,
    "layer_norm_eps": Annotated[float, Gt(0), Le(1)],
    "patch_size": Annotated[int, Ge(1), Le(256)],
    "qkv_bias": bool,
    "mlp_ratio": _Ratio,
    "layer_scale_init_value": _Scale,
    "layerscale_value": _Scale,
    "use_mean_pooling": bool,
    "use_mask_token": bool,
    "use_absolute_position_embeddings": bool,
    "use_relative_position_bias": bool,
    "use_shared_relative_position_bias": bool,
    "use_swiglu_ffn": bool,
    "num_register_tokens": Annotated[int, Ge(0), Le(1024)],
    "embed_dim": _Units,
    "depths": Annotated[list[_Layers], _Stages],
    "num_heads": Annotated[list[_Units], _Stages],
    "window_size": Annotated[int, Ge(1), Le(256)],
    "pretrained_window_sizes": Annotated[list[Annotated[int, Ge(0), Le(256)]], _Stages],
    "use_absolute_embeddings": bool,
    "num_stages": Annotated[int, Ge(1), Le(16)],
    "hidden_sizes": Annotated[list[_Units], _Stages],
    "embedding_size": _Units,
    "groups_width": _Units,
    "layer_type": Literal["basic", "bottleneck", "x", "y"],
    "downsample_in_first_stage": bool,
    "downsample_in_bottleneck": bool,
}  # fmt: skip


def checked_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config with the defaults of its type filled in.

    Raises:
        ValueError: a type that is not listed, a value that is none of its own, or out of range.
        RszooError: transformers is not installed.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in CLASSES:
        raise ValueError(
            f"expected model_type as one of {sorted(CLASSES)}, got {shortened(model_type)}"
            f"{did_you_mean(model_type, CLASSES)}"
        )
    defaults = defaults_of(model_type)
    allowed = {key: defaults[key] for key in VALUES if key in defaults}
    given = {key: value for key, value in config.items() if key != "model_type"}
    if unknown := sorted(set(given) - set(allowed)):
        raise ValueError(
            f"unknown keys {shortened(unknown)} of a {model_type}; valid keys: {sorted(allowed)}"
        )
    checked = {"model_type": model_type}
    for key, default in allowed.items():
        value = given.get(key, default)
        try:
            checked[key] = TypeAdapter(VALUES[key]).validate_python(value, strict=True)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]["msg"]
            raise ValueError(f"{key}: {problem}, got {shortened(value)}") from None
    return checked


def defaults_of(model_type: str) -> dict[str, Any]:
    """Return what a config of a type may state, with the defaults, as JSON has them."""
    class_ = class_of(model_type, "Config")
    values = vars(class_())
    return {
        key: list(values[key]) if isinstance(values[key], tuple) else values[key]
        for key in inspect.signature(class_).parameters
        if key in values
    }


def library_config(
    checked: Mapping[str, Any], *, input_shape: tuple[int, int, int], num_classes: int
) -> Any:  # noqa: ANN401  transformers is untyped
    """Return the library's own config of what `checked_config` returns, images and classes."""
    values = dict(checked)
    class_ = class_of(values.pop("model_type"), "Config")
    channels, height, width = input_shape
    if hasattr(class_(), "image_size"):
        values["image_size"] = height if height == width else (height, width)
    return class_(**values, num_channels=channels, num_labels=num_classes)


def class_of(model_type: str, what: str) -> Any:  # noqa: ANN401
    """Return a class of the library: "Config", or "ForImageClassification" for the network."""
    return getattr(transformers(), f"{CLASSES[model_type]}{what}")


def transformers() -> Any:  # noqa: ANN401
    """Return the library.

    Raises:
        RszooError: it is not installed.
    """
    check_installed("transformers", "transformers", "transformers:...")
    import_torchvision()  # before transformers, which needs it
    import transformers

    return transformers

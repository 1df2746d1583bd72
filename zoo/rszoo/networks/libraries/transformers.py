"""Image classifiers of transformers, such as `transformers:google/vit-base-patch16-224`.

https://huggingface.co/docs/transformers. What is after the colon says where the network comes
from, and is never looked up: its sizes are in the option `config`, which is taken from the
`config.json` beside its weights when they are imported.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import AfterValidator
from torch import Tensor, nn

from rszoo.errors import RszooError
from rszoo.networks.libraries._transformers_config import (
    CLASSES,
    VALUES,
    checked_config,
    class_of,
    defaults_of,
    library_config,
    transformers,
)
from rszoo.networks.library import (
    Facts,
    Files,
    Library,
    Published,
    check_id,
    numbers_in,
    shortened,
)

__all__ = ["LIBRARY"]

_LIKE = "google/vit-base-patch16-224"

# What a config.json may say besides, and the network that is built here does not depend on.
_ASIDE = frozenset(
    (
        *("encoder_stride", "initializer_range", "pooler_act", "pooler_output_size", "vocab_size"),
        *("auxiliary_channels", "auxiliary_concat_input", "auxiliary_loss_weight"),
        *("out_features", "out_indices"),
    )
)
_OF_THE_BUNDLE = frozenset(("image_size", "num_channels", "num_labels"))
_CODE = ("auto_map", "trust_remote_code", "attn_implementation", "_attn_implementation")
_OTHERWISE = ("quantization_config",)


def build(
    model: str,
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    config: Annotated[dict[str, Any], AfterValidator(checked_config)],
) -> nn.Module:
    """Return a classifier of transformers.

    Args:
        model: where it comes from, such as an id on a hub; nothing is looked up.
        input_shape: channels, height, width of one image.
        num_classes: number of logits.
        config: `model_type`, and those values of its `config.json` that are not the defaults.

    Raises:
        RszooError: transformers is not installed.
    """
    check_id("transformers", model, like=_LIKE)
    checked = checked_config(config)
    return class_of(checked["model_type"], "ForImageClassification")(
        library_config(checked, input_shape=input_shape, num_classes=num_classes)
    )


def _no_facts(model: str) -> Facts:
    """Return nothing: what is published stands in files beside the weights."""
    check_id("transformers", model, like=_LIKE)
    return Facts()


def _published(
    model: str, config: Mapping[str, Any], processor: Mapping[str, Any], sigma: float
) -> Published:
    """Return what `config.json` and `preprocessor_config.json` beside weights say.

    Raises:
        RszooError: they ask for code, for another precision of the weights, or for a network that
            is not built here.
    """
    check_id("transformers", model, like=_LIKE)
    model_type = config.get("model_type")
    if asked := [key for key in (*_CODE, *_OTHERWISE) if config.get(key)]:
        raise RszooError(
            f"expected a config.json of plain sizes, got {asked[0]}="
            f"{shortened(config[asked[0]])}; rszoo "
            "runs no code of others, and no quantised networks"
        )
    given = {key: value for key, value in config.items() if key in ("model_type", *VALUES)}
    if isinstance(model_type, str) and model_type in CLASSES:
        defaults = defaults_of(model_type)
        given = {key: given[key] for key in given if key in (*defaults, "model_type")}
        _check_others(config, defaults)
    try:
        checked = checked_config(given)
    except ValueError as error:
        raise RszooError(f"config.json: {error}") from None
    return Published(options={"config": checked}, facts=_facts_in(config, processor))


def _check_others(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse values of the type's own that differ from the defaults, and are not taken over."""
    common = vars(transformers().PretrainedConfig())
    for key, default in defaults.items():
        if key in (*common, *VALUES, *_ASIDE, *_OF_THE_BUNDLE) or key not in config:
            continue
        if config[key] != default:
            raise RszooError(
                f"config.json: {key}={shortened(config[key])} is not among the values that rszoo "
                f"gives a {config['model_type']}; expected {default!r}"
            )


def _facts_in(config: Mapping[str, Any], processor: Mapping[str, Any]) -> Facts:
    labels, channels = config.get("id2label"), config.get("num_channels", 3)
    names = None
    if isinstance(labels, Mapping) and {*labels} == {*map(str, range(len(labels)))}:
        names = tuple(str(labels[str(index)]) for index in range(len(labels)))
    side = config.get("image_size")
    shape = (channels, side, side) if isinstance(side, int) and isinstance(channels, int) else None
    plain = processor.get("do_normalize") is False
    return Facts(
        input_shape=shape,
        mean=None if plain else numbers_in(processor.get("image_mean")),
        std=None if plain else numbers_in(processor.get("image_std")),
        class_names=names,
    )


def _renamed(
    weights: Mapping[str, Tensor], model: str, values: Mapping[str, Any]
) -> Mapping[str, Tensor]:
    """Return weights under the names of the network: those in files of transformers are others.

    Raises:
        RszooError: one is missing or unknown, or of another shape.
    """
    import torch

    checked = checked_config(values["config"])
    config = library_config(
        checked, input_shape=values["input_shape"], num_classes=values["num_classes"]
    )
    class_ = class_of(checked["model_type"], "ForImageClassification")
    with _quiet():
        try:
            network, report = class_.from_pretrained(
                None,
                config=config,
                state_dict=dict(weights),
                output_loading_info=True,
                dtype=torch.float32,
                trust_remote_code=False,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            reason = str(error).strip().splitlines()[0][:300]
            raise RszooError(f"network 'transformers:{model}': {reason}") from None
    for what, names in report.items():
        if names:
            shown = sorted(map(str, names))[:3]
            raise RszooError(
                f"expected the weights of network 'transformers:{model}', got {len(names)} "
                f"{what.replace('_', ' ')} ({', '.join(shown)}, ...)"
            )
    return network.state_dict()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from drawing bars and printing reports."""
    logging = transformers().utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


LIBRARY = Library(
    package="transformers",
    extra="transformers",
    gives="logits",
    files=Files(),
    build=build,
    facts=_no_facts,
    published=_published,
    renamed=_renamed,
)

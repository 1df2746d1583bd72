"""A checkpoint as a library publishes it: weights, and JSON files beside them that say of what.

Folders as `save_pretrained` of transformers writes them, or as timm's lie on a hub, hold
`model.safetensors` and `config.json`. They are read as data; no file that they name is opened.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rszoo import networks
from rszoo._json import read_json_bytes
from rszoo.errors import RszooError
from rszoo.networks.library import Facts, Published

__all__ = ["Source", "source_of"]

_WEIGHTS, _CONFIG, _PROCESSOR = "model.safetensors", "config.json", "preprocessor_config.json"

# Weights in several files, or only the difference to a model that the folder names.
_NOT_WHOLE = ("model.safetensors.index.json", "adapter_config.json")


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is imported.

    Attributes:
        weights: the file that holds them.
        options: of the network, as far as files beside the weights say.
        facts: what the library says of its weights.
    """

    weights: Path
    options: dict[str, Any]
    facts: Facts


def source_of(path: str | Path, network: str) -> Source:
    """Return where the weights are, and what the library of the network says of them.

    Args:
        path: a file with weights, or a folder as a library publishes one.
        network: name of the network, for `rszoo.networks.build`.

    Raises:
        RszooError: a folder of another kind, or a library that is unknown or not installed.
    """
    path = Path(path)
    found = networks.library_of(network)
    if not path.is_dir():
        facts = Facts() if found is None else found[0].facts(found[1])
        return Source(weights=path, options={}, facts=facts)
    if odd := [name for name in _NOT_WHOLE if (path / name).exists()]:
        raise RszooError(
            f"{path}: expected all weights in {_WEIGHTS}, got a folder with {odd[0]}; save the "
            "whole network in one file"
        )
    if not (path / _WEIGHTS).is_file():
        raise RszooError(
            f"{path}: expected a folder with {_WEIGHTS}, got none; name the file with the weights"
        )
    published = Published(options={}, facts=Facts())
    if found is not None:
        library, model = found
        config, processor = (_values(path / name) for name in (_CONFIG, _PROCESSOR))
        published = library.published(model, config, processor)
    return Source(weights=path / _WEIGHTS, options=dict(published.options), facts=published.facts)


def _values(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file; empty where there is none.

    Raises:
        RszooError: it holds something else than a mapping.
    """
    if not path.exists():
        return {}
    try:
        values = json.loads(read_json_bytes(path))
    except (OSError, ValueError) as error:
        raise RszooError(f"{path}: expected JSON, got another text: {error}") from None
    if not isinstance(values, dict):
        raise RszooError(f"{path}: expected a mapping, got {type(values).__name__}")
    return values

"""A checkpoint as a library publishes it: weights, and JSON files beside them that say of what.

Folders as `save_pretrained` of transformers writes them, or as timm's lie on a hub, hold
`model.safetensors` and `config.json`; others, such as those of diffusers, other names, which the
library says (`rszoo.networks.library.Files`). They are read as data; no file that they name is
opened.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rszoo import networks
from rszoo._json import read_json_bytes
from rszoo.errors import RszooError
from rszoo.networks.library import Facts, Files, Published

__all__ = ["Source", "source_of"]

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


def source_of(path: str | Path, network: str, *, sigma: float) -> Source:
    """Return where the weights are, and what the library of the network says of them.

    Args:
        path: a file with weights, or a folder as a library publishes one.
        network: name of the network, for `rszoo.networks.build`.
        sigma: noise level that is stated; options of a network may depend on it.

    Raises:
        RszooError: nothing there, a folder of another kind, or a library that is unknown or not
            installed.
    """
    path = Path(path)
    found = networks.library_of(network)
    if found is not None and not path.exists():  # options may follow from what is beside
        raise RszooError(f"{path}: expected a file with weights, or a folder, got none")
    if not path.is_dir():
        facts = Facts() if found is None else found[0].facts(found[1])
        return Source(weights=path, options={}, facts=facts)
    if odd := [name for name in _NOT_WHOLE if (path / name).exists()]:
        raise RszooError(
            f"{path}: expected all weights in model.safetensors, got a folder with {odd[0]}; save "
            "the whole network in one file"
        )
    files = Files() if found is None else found[0].files
    weights = _first(path, files.weights)
    if weights is None:
        raise RszooError(
            f"{path}: expected a folder with {' or '.join(files.weights)}, got none; name the "
            "file with the weights"
        )
    published = Published(options={}, facts=Facts())
    if found is not None:
        library, model = found
        config, settings = (
            _values(_first(path, names)) for names in (files.config, files.settings)
        )
        published = library.published(model, config, settings, sigma)
    return Source(weights=weights, options=dict(published.options), facts=published.facts)


def _first(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the first of these files that is there; None if none is."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _values(path: Path | None) -> dict[str, Any]:
    """Return the content of a JSON file; empty where there is none.

    Raises:
        RszooError: it holds something else than a mapping.
    """
    if path is None:
        return {}
    try:
        values = json.loads(read_json_bytes(path))
    except (OSError, ValueError) as error:
        raise RszooError(f"{path}: expected JSON, got another text: {error}") from None
    if not isinstance(values, dict):
        raise RszooError(f"{path}: expected a mapping, got {type(values).__name__}")
    return values

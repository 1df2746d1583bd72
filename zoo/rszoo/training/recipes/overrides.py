"""Overrides from the command line: `train.lr=0.05` as the last layer of a recipe."""

import difflib
from collections.abc import Sequence
from typing import Any

from rszoo._yaml import parse_yaml
from rszoo.training.recipes.layers import ALIASES, Values, twice
from rszoo.training.recipes.problems import model_at
from rszoo.training.recipes.recipe import Recipe

__all__ = ["parse_overrides"]

_FLAGS = ("dataset", "sigma", "profile", "seed")
_FIXED = ("method", "version")
_SECTIONS = tuple(Values.model_fields)


def parse_overrides(overrides: Sequence[str], *, method: str) -> tuple[dict[str, Any], list[str]]:
    """Return the overrides as nested values, and one line per override that cannot be used.

    Keys inside a section are not judged here: the resolved recipe is.

    >>> parse_overrides(["train.lr=1e-1", "targets=null"], method="cat_rs")[0]
    {'train': {'lr': 0.1}, 'targets': None}
    """
    layer: dict[str, Any] = {}
    problems = []
    for text in overrides:
        path, sign, value = text.partition("=")
        *parents, key = path.split(".")
        section = path.partition(".")[0]
        if not sign or not path:
            problems.append(f"{text!r}: expected KEY=VALUE, such as train.lr=0.1")
        elif section in _FLAGS:
            problems.append(f"{path}: not an override; use --{section} {value}")
        elif section in _FIXED:
            problems.append(f"{path}: fixed by the recipe file; choose another recipe")
        elif section not in _SECTIONS:
            problems.append(f"{path}: {_nearest_path(path, method)}")
        else:
            try:
                parsed = parse_yaml(value)
            except ValueError as error:
                problems.append(f"{path}: {error}")
                continue
            inner = layer
            for part in parents:
                if not isinstance(inner.get(part), dict):
                    inner[part] = {}
                inner = inner[part]
            inner[key] = parsed
    return layer, problems + [f"overrides: {problem}" for problem in twice(layer)]


def _nearest_path(path: str, method: str) -> str:
    """Return the complaint about a path outside all sections."""
    from rszoo import methods

    models = {key: model_at(Recipe, [key]) for key in _SECTIONS if key != "network"}
    known = {key: model for key, model in models.items() if model is not None}
    if method in methods.names():
        # The section's own word last: it is the one that is suggested for a key without a section.
        known |= dict.fromkeys([*ALIASES, "weights"], methods.weights(method))
    paths = [f"{name}.{key}" for name, model in known.items() for key in model.model_fields]
    by_key = {full.partition(".")[2]: full for full in paths}
    near = difflib.get_close_matches(path, paths, n=1, cutoff=0.8) or [
        by_key[key] for key in difflib.get_close_matches(path.rpartition(".")[2], by_key, n=1)
    ]
    if near:
        return f"unknown key; nearest valid key: {near[0]}"
    return f"unknown key; expected one of {list(_SECTIONS)} before the first dot"

"""In what two protocols differ, in the words of the command line: users type options, not fields.

What no option sets, as the version of torch, is called what it is.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rszoo.certificates.kinds import kind
from rszoo.errors import listed

__all__ = ["described", "differing_values"]

_ABSENT = "absent"
_LONGEST = 60  # characters of a value
_PARTS = ("experts.", "router.")
_FEW = 5  # entries of a list that are written, however many of them both have
_DIGEST = re.compile("[0-9a-f]{64}")

# What sets a field, by its name, or that of the part of a protocol which it is in.
_WORDS = {
    "model.weights_sha256": "weights of --model",
    "model": "--model",
    "inputs.name": "--dataset",
    "inputs.split": "--dataset",
    "inputs.step": "--skip",
    "inputs.count": "--limit",
    "inputs.own": "number of inputs",
    "inputs.size": "number of images in --dataset",
    "inputs.digest": "images of --dataset",
    "attack.name": "--attack",
    "attack": "--attack",
    "versions": "version",
    "search": "search for --per-input-sigma",
    "kind": "kind of certificates",
    "sigma": "sigma of the model",
    "experts": "experts of the model",
    "noise": "--noise-scheme, --sound",
    "compiled": "--compile",
    "tolerance": "--radius-tol",
    **{
        name: "--" + name.replace("_", "-")
        for name in (
            *("n0", "n", "n_max", "top_k", "alpha", "seed", "draws", "radii", "per_input_sigma"),
            *("precision", "device", "batch_size", "fused", "norm", "eps", "steps"),
        )
    },
}


def differing_values(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """Return where two mappings differ: key, with dots of nested ones, and the values as JSON."""
    one, other = dict(_flat(first)), dict(_flat(second))
    values = [(k, one.get(k, _ABSENT), other.get(k, _ABSENT)) for k in sorted({*one, *other})]
    return [entry for entry in values if entry[1] != entry[2]]


def _flat(protocol: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values as JSON text; the keys of nested ones, and indices, are joined by dots."""
    for key, value in protocol.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple) and any(isinstance(one, dict) for one in value):
            yield from _flat({str(i): one for i, one in enumerate(value)}, f"{prefix}{key}.")
        else:
            yield prefix + key, json.dumps(value, ensure_ascii=False)


def described(
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    keys: Iterable[str],
    *,
    first: str = "",
    second: str = "",
) -> list[str]:
    """Return a line for each option that two protocols differ in, with both values, cut short.

    Args:
        one, other: the protocols, as JSON values.
        keys: where they differ, of `differing_values`.
        first, second: what stands after the value of each, as " in the log".

    >>> described({"n0": 100, "seed": 7}, {"n0": 50}, ["n0", "seed"], second=" now")
    ['--n0: 100, 50 now', '--seed: 7, none now']
    """
    lines: dict[str, str] = {}
    keys = list(keys)
    for said in (_asked, _stated):
        for word, mine, its in (said(key, one, other) for key in keys):
            if mine != its:  # else it follows from what another line says
                lines.setdefault(word, f"{mine}{first}, {its}{second}")
        if lines:
            break
    return [f"{word}: {text}" for word, text in lines.items()]


def _asked(key: str, *protocols: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return what a user calls a field, and what was asked for in either protocol."""
    if key == "kind":
        mine, its = (kind(protocol[key]).bound for protocol in protocols)
        return "--runner-up, --choose-bound", mine, its
    if key in ("radii", "tolerance"):
        return "--radii, --adaptive", *_both(*map(_early, protocols))
    if key.startswith(_PARTS) and not all(key in dict(_flat(of)) for of in protocols):
        return _word(key), "", ""  # that the one model has no such part, its name says
    return _stated(key, *protocols)


def _stated(key: str, *protocols: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return what a user calls a field, and its value in either protocol."""
    mine, its = (json.loads(dict(_flat(of)).get(key, "null")) for of in protocols)
    if key.split(".")[-1] == "noise":
        mine, its = _scheme(mine), _scheme(its)
    return _word(key), *_both(mine, its)


def _word(key: str) -> str:
    """Return what a user calls a field; its own name where there is nothing else."""
    parts = key.split(".")
    for name in (key, parts[-1], parts[0]):
        if name in _WORDS:
            word = _WORDS[name]
            return f"{word} of {parts[-1]}" if word == "version" else word
    return key


def _early(protocol: Mapping[str, Any]) -> object:
    """Return at which radii certificates are decided, as a user asks for it."""
    tolerance = protocol.get("tolerance")
    if isinstance(tolerance, float) and tolerance:
        return f"--adaptive --radius-tol {tolerance:g}"
    return protocol.get("radii")


def _scheme(noise: object) -> object:
    """Return how noise is drawn, as options name it."""
    from rszoo.smoothing import schemes
    from rszoo.smoothing.lattice import SCHEME_SUFFIX

    if not isinstance(noise, str):
        return noise
    name = schemes.stated(noise) or noise
    return f"{name} with --sound" if noise.endswith(SCHEME_SUFFIX) else name


def _both(mine: object, its: object) -> tuple[str, str]:
    """Return two values in few words; of long lists what only one has."""
    if isinstance(mine, bool) or isinstance(its, bool):  # what is not stated is not so
        return ("yes" if mine else "no"), ("yes" if its else "no")
    if isinstance(mine, list | tuple) and isinstance(its, list | tuple):
        return _beside([*map(str, mine)], [*map(str, its)])
    return _text(mine), _text(its)


def _beside(mine: Sequence[str], its: Sequence[str]) -> tuple[str, str]:
    """Return two lists; of many common entries only the number."""
    common = {*mine} & {*its}
    if len(common) <= _FEW:
        return _text(mine), _text(its)
    only = ([one for one in some if one not in common] for some in (mine, its))
    some, others = (f" and {_text(one)}" if one else "" for one in only)
    return f"{len(common)} common ones{some}", f"{len(common)} common ones{others}"


def _text(value: object) -> str:
    """Return a value in few words; of digests the beginning."""
    if value is None:
        return "none"
    listing = isinstance(value, list | tuple)
    text = listed(map(str, value)).replace(", ", ",") if listing else str(value)
    if _DIGEST.fullmatch(text):
        return text[:12]
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."

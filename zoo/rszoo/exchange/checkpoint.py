"""Checkpoints of other software, read as data: nothing in such a file is ever executed.

The codes after Cohen et al. (2019), https://github.com/locuslab/smoothing, save
`{"arch", "epoch", "state_dict", "optimizer"}`; Zhai et al. (2020),
https://github.com/RuntianZ/macer, save `{"net", "epoch"}`. Others have other keys, several sets of
weights (an average of them beside the last ones), or nothing but the weights, as safetensors have.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rszoo._reading import check_size
from rszoo.errors import RszooError
from rszoo.exchange.formats import SAFETENSORS, TORCH, format_of
from rszoo.hub.manifest import file_digest

__all__ = ["Checkpoint", "read_checkpoint"]

#: What a checkpoint may have: bytes of its file, and of what is in it.
MOST_BYTES = 2**32

_WEIGHTS = ("state_dict", "net")

# What is saved beside the weights, and may hold tensors too.
_ASIDE = re.compile("optim|sched|scaler|rng", re.IGNORECASE)
_DEEPEST = 3


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The weights in a checkpoint.

    Attributes:
        path: the file.
        sha256: of the file.
        sets: each set of weights, by the file's own names, under the keys that lead to it
            ("state_dict", "model.ema"); under "" where the file is nothing else.
        arch: what the file calls its network, None if it does not say.
        epoch: completed epochs, None if it does not say.
    """

    path: Path
    sha256: str
    sets: Mapping[str, Mapping[str, Tensor]]
    arch: str | None
    epoch: int | None


class _Inert:
    """Stands for a NumPy value beside the weights, such as an accuracy, and holds nothing."""

    def __init__(self, *_: object) -> None:
        """Take whatever the value would be made of."""

    def __setstate__(self, state: object) -> None:
        """Take whatever state the value would have."""


_NUMPY: list[tuple[type[_Inert], str]] = [
    (_Inert, name)
    for core in ("numpy.core", "numpy._core")
    for name in (f"{core}.multiarray.scalar", f"{core}.multiarray._reconstruct")
] + [(_Inert, "numpy.dtype"), (_Inert, "numpy.ndarray")]


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a file of `torch.save` with tensors and plain values only, or one of safetensors.

    Raises:
        RszooError: the file is none of these, or too large, or needs Python objects, or holds no
            weights.
    """
    path = Path(path)
    size = check_size(path, most=MOST_BYTES)
    try:
        found, remedy = form = format_of(path, size, most=MOST_BYTES)
        digest = file_digest(path)
    except OSError as error:
        raise RszooError(f"cannot read {str(path)!r}: {error.strerror}") from error
    if form not in (TORCH, SAFETENSORS):
        raise RszooError(f"{path}: expected a checkpoint of torch.save, got {found}; {remedy}")
    content = _content(path) if form == TORCH else _safetensors(path)
    arch, epoch = (content.get(key) for key in ("arch", "epoch"))
    return Checkpoint(
        path=path,
        sha256=digest,
        sets=_sets(path, content),
        arch=arch[:100] if isinstance(arch, str) else None,
        epoch=epoch if isinstance(epoch, int) else None,
    )


def _content(path: Path) -> Mapping[object, object]:
    try:
        with torch.serialization.safe_globals([*_NUMPY]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # hostile bytes fail in many ways, and all mean the same here
        needed = re.search(r"GLOBAL (\S+)", str(error))
        if needed is not None:
            raise RszooError(
                f"{path}: expected tensors and plain values, got a file that needs the Python "
                f"object {needed[1]!r}; rebuilding it could run any code, and rszoo does not: "
                "ask its author for the state dict alone"
            ) from None
        raise RszooError(
            f"{path}: expected a checkpoint of torch.save, got an unreadable or truncated file; "
            "fetch it again"
        ) from None
    if not isinstance(content, Mapping):
        raise RszooError(
            f"{path}: expected a mapping with the key 'state_dict', got "
            f"{type(content).__name__}; save the network's state_dict()"
        )
    return content


def _safetensors(path: Path) -> Mapping[object, object]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {**load_file(path)}
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise RszooError(
            f"{path}: expected a whole safetensors file, got another ({error}); fetch it again"
        ) from None


def _sets(path: Path, content: Mapping[object, object]) -> Mapping[str, Mapping[str, Tensor]]:
    """Return every set of weights in a checkpoint, which may be one itself."""
    key = next((key for key in _WEIGHTS if key in content), None)
    if key is None and (weights := _weights(content)):
        return {"": weights}
    found = dict(_below(content))
    if found:
        return found
    weights = content if key is None else content[key]
    if not isinstance(weights, Mapping) or not weights:
        raise RszooError(f"{path}: expected weights, got {type(weights).__name__} without any")
    named = ", ".join(sorted(map(repr, filter(_is_plain, weights)))[:5])
    where = "under 'state_dict'" if key is None else f"only under {key!r}"
    raise RszooError(f"{path}: expected tensors {where}, got other values among the keys {named}")


def _below(content: Mapping[object, object], place: str = "") -> Iterator[tuple[str, dict]]:
    """Yield the sets of weights below the keys of a mapping, each with these keys."""
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Mapping) or _ASIDE.search(key):
            continue
        if weights := _weights(value):
            yield f"{place}{key}", weights
        elif place.count(".") < _DEEPEST:
            yield from _below(value, f"{place}{key}.")


def _weights(content: Mapping[object, object]) -> dict[str, Tensor]:
    """Return a mapping whose values are tensors, all of them under names; else an empty one."""
    weights = {
        name: tensor
        for name, tensor in content.items()
        if isinstance(name, str) and isinstance(tensor, Tensor)
    }
    return weights if len(weights) == len(content) else {}


def _is_plain(key: object) -> bool:
    return isinstance(key, str | int)

"""Checkpoints of research code, read as data: nothing in such a file is ever executed.

The codes after Cohen et al. (2019), https://github.com/locuslab/smoothing, save
`{"arch", "epoch", "state_dict", "optimizer"}`; Zhai et al. (2020),
https://github.com/RuntianZ/macer, save `{"net", "epoch"}`.
"""

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rszoo.errors import RszooError

__all__ = ["Checkpoint", "read_checkpoint"]

_WEIGHTS = ("state_dict", "net")

# Beginnings of what is often found in the place of a file that was meant to be downloaded.
_MISTAKEN = ((b"<", "an HTML page"), (b"version https://git-lfs", "a Git LFS pointer"))


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The weights in a research checkpoint.

    Attributes:
        path: the file.
        sha256: of the file.
        weights: by the file's own names.
        arch: what the file calls its network, None if it does not say.
        epoch: completed epochs, None if it does not say.
    """

    path: Path
    sha256: str
    weights: Mapping[str, Tensor]
    arch: str | None
    epoch: int | None


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a file of `torch.save` that holds tensors and plain values only.

    Raises:
        RszooError: the file needs Python objects, or is no checkpoint, or holds no weights.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RszooError(f"cannot read {str(path)!r}: {error.strerror}") from error
    content = _content(path, data)
    weights = _weights(path, content)
    arch, epoch = (content.get(key) for key in ("arch", "epoch"))
    return Checkpoint(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        weights=weights,
        arch=arch[:100] if isinstance(arch, str) else None,
        epoch=epoch if isinstance(epoch, int) else None,
    )


def _content(path: Path, data: bytes) -> Mapping[object, object]:
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # hostile bytes fail in many ways, and all mean the same here
        needed = re.search(r"GLOBAL (\S+)", str(error))
        if needed is not None:
            raise RszooError(
                f"{path}: expected tensors and plain values, got a file that needs the Python "
                f"object {needed[1]!r}; rebuilding it could run any code, and rszoo does not: "
                "ask its author for the state dict alone"
            ) from None
        raise RszooError(
            f"{path}: expected a checkpoint of torch.save, got {_kind(data)}; fetch it again"
        ) from None
    if not isinstance(content, Mapping):
        raise RszooError(
            f"{path}: expected a mapping with the key 'state_dict', got "
            f"{type(content).__name__}; save the network's state_dict()"
        )
    return content


def _kind(data: bytes) -> str:
    if not data:
        return "an empty file"
    start = data[:200].lstrip()
    kinds = (kind for beginning, kind in _MISTAKEN if start.startswith(beginning))
    return next(kinds, "an unreadable or truncated file")


def _weights(path: Path, content: Mapping[object, object]) -> Mapping[str, Tensor]:
    """Return the state dict in a checkpoint, or the checkpoint where it is one itself."""
    key = next((key for key in _WEIGHTS if key in content), None)
    weights = content if key is None else content[key]
    if not isinstance(weights, Mapping) or not weights:
        raise RszooError(f"{path}: expected weights, got {type(weights).__name__} without any")
    named = {name: tensor for name, tensor in weights.items() if isinstance(name, str)}
    tensors = {name: tensor for name, tensor in named.items() if isinstance(tensor, Tensor)}
    if len(tensors) < len(weights):
        found = ", ".join(sorted(map(repr, weights))[:5])
        where = "under 'state_dict'" if key is None else f"only under {key!r}"
        raise RszooError(
            f"{path}: expected tensors {where}, got other values among the keys {found}"
        )
    return tensors

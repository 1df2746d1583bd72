"""The weights of a bundle: compared with the network by their header, before they are read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rszoo.errors import IntegrityError
from rszoo.hub.files import WEIGHTS
from rszoo.hub.manifest import DAMAGED

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["check_header", "load_weights"]

_SHAPES = "other names or shapes"
_LONGEST = 2**24  # bytes of a header

# How weights may be stored, by what the network calculates in: rounded to halves, or as they are.
_STORED = {
    "float32": ("F32", "F16", "BF16"),
    "int64": ("I64",),
}


def load_weights(network: "nn.Module", folder: Path, *, called: str) -> None:
    """Give a network the weights in the folder of a bundle.

    Args:
        network: as it was trained.
        folder: of the bundle.
        called: what messages call the weights.

    Raises:
        IntegrityError: the weights are not those of the network, not stored as weights are, or not
            finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_header(folder, network.state_dict(), called=called)
    try:
        weights = load_file(folder / WEIGHTS)
        network.load_state_dict(weights, strict=True)
    except (RuntimeError, ValueError, SafetensorError) as error:
        unreadable = not isinstance(error, RuntimeError)
        raise _others(called, "other content" if unreadable else _SHAPES) from error
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise _others(called, f"numbers that are not finite in {name!r}")


def check_header(folder: Path, wanted: Mapping[str, "Tensor"], *, called: str) -> None:
    """Compare the header of a bundle's weights with a network, which may be on no device yet.

    Raises:
        IntegrityError: names, shapes or types differ, or there is no header.
    """
    found = _header(folder / WEIGHTS, called)
    shapes = {name: tuple(entry["shape"]) for name, entry in found.items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in wanted.items()}:
        raise _others(called, _SHAPES)
    for name, entry in found.items():
        stored = _STORED.get(str(wanted[name].dtype).removeprefix("torch."), ())
        if entry["dtype"] not in stored:
            raise _others(called, f"{name!r} stored as {entry['dtype']}")


def _header(path: Path, called: str) -> dict[str, dict[str, Any]]:
    """Return what a file of safetensors says of its tensors; they are not read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, _LONGEST):
            raise _others(called, "other content")
        start = file.read(length)
    try:
        header = json.loads(start)
        header.pop("__metadata__", None)
        return {
            name: {"shape": [int(n) for n in entry["shape"]], "dtype": str(entry["dtype"])}
            for name, entry in header.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _others(called, "other content") from error


def _others(called: str, found: str) -> IntegrityError:
    return IntegrityError(WEIGHTS, expected=called, actual=found, hint=DAMAGED)

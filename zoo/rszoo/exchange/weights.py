"""A checkpoint's tensors put into one of rszoo's networks, all of them or none.

The networks have the names of the original code (torchvision's for ResNet-50), so that only what
was around the network differs: "1." where the standardisation is the first of two layers, and the
wrappers of PyTorch and of training codes. A wrapper that was inside of the network leaves its name
in the middle ("_orig_mod." of a compiled one), one that held the network its own in front.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from rszoo.data import Normalization
from rszoo.errors import RszooError
from rszoo.exchange.checkpoint import Checkpoint
from rszoo.exchange.sets import COUNTER, chosen_set, groups_that_fit, split

__all__ = ["put_weights"]

_HINT = "check data set, architecture and options"


def put_weights(
    network: nn.Sequential,
    checkpoint: Checkpoint,
    *,
    normalization: Normalization | None,
    key: str | None = None,
    renamed: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None,
) -> None:
    """Give a network of `rszoo.networks.build` the weights of a checkpoint.

    Args:
        network: standardisation, network.
        checkpoint: whose weights.
        normalization: what the network is given; constants in the checkpoint must agree.
        key: of the set of weights, where there are several.
        renamed: gives weights the names that they have in the network, where they have others.

    Raises:
        RszooError: a name or a shape differs, a number is not finite, the checkpoint's own
            standardisation is another one, or several sets of weights fit and none is named.
    """
    bare = network[1]
    wanted = bare.state_dict()
    chosen = chosen_set(checkpoint, wanted, key=key)
    first, weights = split(chosen, wanted)
    _check_constants(checkpoint, first, normalization)
    if renamed is not None and set(weights) != set(wanted):
        weights = renamed(weights)
    _check_names(checkpoint, wanted, weights)
    fitting = {
        name: _fitting(checkpoint, name, tensor, like=wanted[name])
        for name, tensor in weights.items()
    }
    bare.load_state_dict(wanted | fitting)


def _check_constants(
    checkpoint: Checkpoint, first: Mapping[str, Tensor], stated: Normalization | None
) -> None:
    """Refuse a checkpoint whose own standardisation is not the one that is stated."""
    for name, tensor in first.items():
        _check_plain(checkpoint, name, tensor)
        is_mean, is_std = "mean" in name, "std" in name or "sd" in name
        if is_mean == is_std or tensor.numel() > 16:
            raise RszooError(
                f"{checkpoint.path}: expected mean and standard deviation in the first layer, got "
                f"{name!r} of shape {_text(tensor.shape)}; rszoo has no such layer"
            )
        neutral = [0.0 if is_mean else 1.0] * tensor.numel()
        constants = (stated.mean if is_mean else stated.std) if stated else neutral
        found = tensor.flatten().double()
        expected = torch.tensor(constants, dtype=torch.float64)
        if found.shape != expected.shape or not torch.allclose(found, expected, 0.0, 1e-6):
            shown = [float(f"{value:.6g}") for value in found.tolist()]
            raise RszooError(
                f"{checkpoint.path}: expected {name} {list(constants)} in the first layer, got "
                f"{shown}; check --normalization and --dataset"
            )


def _check_names(
    checkpoint: Checkpoint, wanted: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> None:
    missing = [n for n in wanted if n not in weights and n.rpartition(".")[2] != COUNTER]
    unknown = [n for n in weights if n not in wanted]
    if not missing and not unknown:
        return
    parts = [
        f"{len(names)} {what} ({_first(names)})"
        for what, names in (("missing", missing), ("unknown", unknown))
        if names
    ]
    said = f"; the file calls its network {checkpoint.arch!r}" if checkpoint.arch else ""
    keys = groups_that_fit(checkpoint, wanted)
    remedy = f"--weights {' or --weights '.join(keys)} takes a part that fits" if keys else _HINT
    raise RszooError(
        f"{checkpoint.path}: expected the {len(wanted)} tensors of the network, got "
        f"{' and '.join(parts)}{said}; {remedy}"
    )


def _fitting(checkpoint: Checkpoint, name: str, tensor: Tensor, *, like: Tensor) -> Tensor:
    """Return a tensor of the checkpoint as the network wants it."""
    _check_plain(checkpoint, name, tensor)
    if tensor.shape != like.shape:
        raise RszooError(
            f"{checkpoint.path}: expected {name} of shape {_text(like.shape)}, got "
            f"{_text(tensor.shape)}; {_HINT}"
        )
    if like.is_floating_point() != tensor.is_floating_point():
        raise RszooError(
            f"{checkpoint.path}: expected {name} as {like.dtype}, got {tensor.dtype}; save the "
            "network in float32"
        )
    fitting = tensor.to(like.dtype)
    if not torch.isfinite(fitting).all():
        raise RszooError(f"{checkpoint.path}: expected finite numbers in {name}, got others")
    return fitting


def _check_plain(checkpoint: Checkpoint, name: str, tensor: Tensor) -> None:
    """Refuse what is more than an array of numbers: sparse, nested, quantised, without content."""
    dense = tensor.layout == torch.strided and not tensor.is_nested
    real = not (tensor.is_complex() or tensor.is_quantized)
    if not (dense and real and tensor.device.type == "cpu"):
        raise RszooError(
            f"{checkpoint.path}: expected an array of numbers in {name!r}, got {tensor.layout} "
            f"{tensor.dtype} on {tensor.device}; save the network in float32"
        )


def _first(names: Sequence[str]) -> str:
    return ", ".join(repr(name[:100]) for name in names[:3]) + (", ..." if len(names) > 3 else "")


def _text(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "one number"

"""What holds of networks that torch does not evaluate itself."""

import torch
from torch import nn

from rszoo.errors import RszooError
from rszoo.networks.execution import resolve_precision

__all__ = ["Opaque", "is_opaque", "precision_of"]


class Opaque(nn.Module):
    """A network that torch does not evaluate, in float32, such as an ONNX file."""


def is_opaque(network: nn.Module) -> bool:
    """Return whether a network is opaque, or has a part that is."""
    return any(isinstance(module, Opaque) for module in network.modules())


def precision_of(
    network: nn.Module, precision: str, device: torch.device, *, compile: bool
) -> str:
    """Return what `resolve_precision` does; "float32" for an opaque network.

    Raises:
        RszooError: the precision is unknown; or another one than that is asked for an opaque
            network, or that it is compiled.
    """
    if not is_opaque(network):
        return resolve_precision(precision, device)
    if compile:
        raise RszooError("expected a network of PyTorch to compile, got an opaque one (ONNX)")
    if precision not in ("auto", "float32"):
        raise RszooError(
            "expected precision 'auto' or 'float32' for an opaque network (ONNX), got "
            f"{precision!r}"
        )
    return "float32"

"""Where, and in which precision, a network is evaluated.

bfloat16 is chosen only where the hardware multiplies it: on a CPU without AMX or AVX512-BF16 it is
emulated and slower than float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from rszoo.errors import RszooError

__all__ = [
    "PRECISIONS",
    "autocast",
    "evaluation_mode",
    "place",
    "resolve_device",
    "resolve_precision",
]

PRECISIONS = ("auto", "bfloat16", "float32")


def resolve_device(device: str | torch.device | None = None) -> torch.device:
    """Return the device asked for, or the best one there is.

    Args:
        device: "cpu", "cuda", "cuda:1", ...; None takes a GPU when there is one.

    Raises:
        RszooError: the device does not exist here.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.zeros(1, device=resolved).item()  # a device without numbers computes nothing
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise RszooError(
            f"expected a device of this machine (cpu, cuda, cuda:1, ...), got {str(device)!r}: "
            f"{reason}"
        ) from error
    return resolved


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return "float32" or "bfloat16": what "auto" means on this device.

    Raises:
        RszooError: `precision` is not one of `PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise RszooError(f"expected a precision of {list(PRECISIONS)}, got {precision!r}")
    if precision != "auto":
        return precision
    return "bfloat16" if _multiplies_bfloat16(device) else "float32"


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # since torch 2.9
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def place(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, its weights in the memory order that convolutions want."""
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which a network runs in a resolved precision."""
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=True
    )


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into eval mode, and each of its modules back into the mode it was in."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True

"""What the fused kernels need of a machine and of a plan, and how they run there."""

import os
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec

import torch

from rszoo.networks.fused.plan import Plan, Unsupported

__all__ = ["DTYPES", "check_machine", "check_sizes", "current"]

#: Of weights and of results between layers, by precision.
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}

_CHANNELS = (16, 32, 64, 128)
_MOST_IMAGE_CHANNELS = 14  # nine taps of which are 128 values at most


def check_machine(device: torch.device, precision: str) -> None:
    """Refuse a machine that cannot run the kernels.

    Raises:
        Unsupported: it lacks Triton, or a GPU that serves the precision.
    """
    if find_spec("triton") is None:
        raise Unsupported("expected Triton (pip install 'rszoo[fused]'), which is not installed")
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if precision == "bfloat16" and capability < (8, 0):
            raise Unsupported(f"expected a GPU that multiplies bfloat16, got one of {capability}")
    elif os.environ.get("TRITON_INTERPRET") != "1":  # its interpreter, which is for tests
        raise Unsupported(f"expected a CUDA device, got {str(device)!r}")


def check_sizes(plan: Plan) -> None:
    """Refuse convolutions that the kernels have no tiles for.

    Raises:
        Unsupported: there are some.
    """
    images = len(plan.mean)
    if images > _MOST_IMAGE_CHANNELS:
        raise Unsupported(
            f"expected images of {_MOST_IMAGE_CHANNELS} channels at most, got {images}"
        )
    for step in plan.steps:
        if step.channels not in _CHANNELS:
            raise Unsupported(f"expected layers of {_CHANNELS} channels, got {step.channels}")


def current(device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which Triton, which asks what is current, runs on a device."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()

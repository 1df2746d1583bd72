"""What the last bits of a network's answers depend on here."""

import platform

import torch

from rszoo import __version__

__all__ = ["this_machine", "versions"]


def versions() -> dict[str, str]:
    """Return the versions of the software that a protocol states, by name."""
    return {"rszoo": __version__, "torch": torch.__version__}


def this_machine() -> dict[str, object]:
    """Return the values of `rszoo.certificates.protocol.Machine` for this process."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # since torch 2.9
    return {
        "processor": str(capabilities.get("cpu_name") or platform.processor()) or None,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }

"""What the last bits of a network's answers depend on here."""

import platform

import torch

from rszoo import __version__

__all__ = ["this_machine", "versions"]

# Threads of a block where torch draws: ATen/native/cuda/DistributionTemplates.h.
_BLOCK = 256


def versions() -> dict[str, str]:
    """Return the versions of the software that a protocol states, by name."""
    return {"rszoo": __version__, "torch": torch.__version__}


def this_machine(device: torch.device | None = None) -> dict[str, object]:
    """Return the values of `rszoo.certificates.protocol.Machine` for this process.

    Args:
        device: where the networks run; None for a CPU.
    """
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # since torch 2.9
    return {
        "processor": str(capabilities.get("cpu_name") or platform.processor()) or None,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        **_of_gpu(device),
    }


def _of_gpu(device: torch.device | None) -> dict[str, int]:
    """Return to how many threads of a GPU torch deals random numbers, for device "cuda"."""
    if device is None or device.type != "cuda":
        return {}
    card = torch.cuda.get_device_properties(device)
    blocks = card.max_threads_per_multi_processor // _BLOCK
    return {"gpu_threads": card.multi_processor_count * blocks * _BLOCK}

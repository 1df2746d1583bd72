"""Where and how a classifier is evaluated."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["Execution"]


@dataclass(frozen=True, kw_only=True)
class Execution:
    """The settings of where and how the networks of a classifier run; one for all of them.

    Attributes:
        device: "cpu", "cuda", "cuda:1", ...; None takes a GPU if there is one.
        precision: "auto", "float32" or "bfloat16"; see `rszoo.networks.execution`.
        compile: compile the network at its first use; see `rszoo.networks.compiled`.
        fused: evaluate networks by fused kernels; None: those that they serve, on a GPU, see
            `rszoo.networks.fused`.
        capture: replay networks from CUDA graphs where that is possible, on a GPU; see
            `rszoo.networks.graphed`.
        sound: certify in the numbers that a computer really adds; see `rszoo.smoothing.lattice`.
        batch_size: noisy inputs per forward; None: the usual number for the shape of the input.
        noise_scheme: by which noise is drawn, see `rszoo.smoothing.schemes`; None: the usual one
            of the device.
    """

    device: "str | torch.device | None" = None
    precision: str = "auto"
    compile: bool = False
    fused: bool | None = None
    capture: bool = True
    sound: bool = False
    batch_size: int | None = None
    noise_scheme: str | None = None

"""What evaluates a network where its answers are counted: PyTorch, its compiler, or kernels.

PyTorch by itself, or replayed from a CUDA graph, which is the same kernels.
"""

import torch
from torch import nn

from rszoo.networks.compiled import Compiled
from rszoo.networks.fused.network import fused_network
from rszoo.networks.graphed import Graphed, graphs_serve
from rszoo.networks.logits import WithLogits

__all__ = ["evaluated"]


def evaluated(
    network: nn.Module,
    *,
    compile: bool,
    fused: bool | None,
    capture: bool,
    input_shape: tuple[int, ...] | None,
    batch_size: int | None,
    precision: str,
    device: torch.device,
) -> nn.Module:
    """Return what gives the logits of a network: a `Compiled`, `Fused`, `Graphed` or `WithLogits`.

    Args:
        network: on `device`.
        compile: compile it, see `rszoo.networks.compiled`.
        fused: evaluate it by fused kernels; None: where they fit and it is not compiled, see
            `rszoo.networks.fused.network.fused_network`.
        capture: replay it from a CUDA graph where that is possible, if it is neither of these.
        input_shape: of one image, if it is known.
        batch_size: images in a full batch, which is known where the shape is.
        precision: "float32" or "bfloat16".
        device: where it runs.

    Raises:
        RszooError: `fused` is True where that cannot be.
        ValueError: `compile` without `input_shape`, or both `compile` and `fused`.
    """
    if compile and fused:
        raise ValueError("expected either compile or fused, got both")
    if compile:
        if input_shape is None or batch_size is None:
            raise ValueError("expected input_shape with compile, got None")
        return Compiled(WithLogits(network), batch_size)
    by_kernels = fused_network(
        network, fused, input_shape=input_shape, precision=precision, device=device
    )
    if by_kernels is not None:
        return by_kernels
    with_logits = WithLogits(network)
    if not capture or batch_size is None or not graphs_serve(with_logits, device):
        return with_logits
    return Graphed(with_logits, batch_size=batch_size, device=device)

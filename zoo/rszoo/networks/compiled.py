"""A network compiled for inference: batch normalisation folded, elementwise work fused.

Compiling takes tens of seconds and a C++ compiler (on a GPU, Triton). It pays on residual networks
and runs of more than a few minutes. The compiled network is the same function up to rounding, and
therefore another one where certificates are concerned: logs record it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rszoo.errors import RszooError

__all__ = ["Compiled"]


class Compiled(nn.Module):
    """A network in eval mode, compiled for batches of one size; smaller ones are filled up.

    One size means one compilation, and that every draw is evaluated by the same instructions.
    """

    def __init__(self, network: nn.Module, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.network = network
        self._run = torch.compile(network, dynamic=False, options={"freezing": True})

    def __reduce__(self) -> tuple[type["Compiled"], tuple[nn.Module, int]]:
        """Travel to another process as what is to be compiled there."""
        return Compiled, (self.network, self.batch_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of at most `batch_size` images.

        Raises:
            RszooError: the network cannot be compiled here.
            ValueError: more images than that.
        """
        full = x
        missing = self.batch_size - len(x)
        if missing < 0:
            raise ValueError(f"expected at most {self.batch_size} images, got {len(x)}")
        if missing:
            full = F.pad(x, (0,) * (2 * x.ndim - 1) + (missing,))
        if full.ndim == 4:
            full = full.contiguous(memory_format=torch.channels_last)
        try:
            logits: Tensor = self._run(full)
        except RuntimeError as error:
            from torch._dynamo.exc import TorchDynamoException  # slow to import

            if not isinstance(error, TorchDynamoException):
                raise
            reason = str(error).strip().splitlines()[0]
            raise RszooError(
                f"the network cannot be compiled on this machine: {reason}; a C++ compiler is "
                "needed, or run without --compile"
            ) from error
        return logits[: len(x)]

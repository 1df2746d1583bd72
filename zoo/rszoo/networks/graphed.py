"""A network on a GPU whose kernels are launched all at once, from a CUDA graph.

A small network has computed its batch before the next kernel is launched; a replay launches all of
them in one call. They are the kernels that the network launches by itself for a batch of that
size, on the same numbers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from rszoo.networks.cuda_graphs import BEFORE, CudaGraphs, Graphs

__all__ = ["Graphed", "graphs_serve"]

# Where modules are defined that do the same whenever they are called, as far as can be known.
_KNOWN = ("torch.nn.modules.", "rszoo.networks.", "torchvision.", "timm.", "transformers.")


class Graphed(nn.Module):
    """A network in eval mode, captured for batches of one size; others are evaluated as they are.

    It is captured when it has had a few such batches, and again where its weights have moved, the
    images are of another shape, or the precision is another. A network that cannot be captured,
    since the host waits for the device within it, is evaluated as it is, too.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        batch_size: int,
        device: torch.device,
        graphs: Graphs | None = None,
    ) -> None:
        """Prepare a network.

        Args:
            network: maps images `[B, C, H, W]` to logits; on `device`.
            batch_size: images in a batch that is replayed.
            device: of CUDA, where images will be.
            graphs: what captures; None: the device.
        """
        super().__init__()
        self.network = network
        self.batch_size = batch_size
        self._device = device
        self._graphs = graphs or CudaGraphs(device)
        self._possible = True
        self._forget(None)

    def __reduce__(self) -> tuple[Callable[[], "Graphed"], tuple[()]]:
        """Travel to another process as what is to be captured there."""
        how = {"batch_size": self.batch_size, "device": self._device}
        return partial(Graphed, self.network, **how), ()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of images.

        Raises:
            RszooError: what seemed to be possible to capture was not.
        """
        if len(x) != self.batch_size or not self._possible:
            return self.network(x)
        # What a graph holds on to is changed in and outside of inference mode.
        with torch.inference_mode(False), torch.no_grad(), _uncached_autocast(x.device.type):
            self._fill(x)
            self._evaluate()
            return self._logits.clone()

    def _forget(self, state: object) -> None:
        self._state, self._launched = state, 0
        self._replay: Callable[[], None] | None = None
        self._images = self._logits = torch.empty(0)

    def _fill(self, batch: Tensor) -> None:
        """Put a batch where the capture looks for it; forget the capture if it is of another."""
        kind = batch.device.type
        weights = [*self.network.parameters(), *self.network.buffers()]
        state = (
            (batch.shape, batch.dtype, batch.device),
            (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)),
            [(one.data_ptr(), one.dtype) for one in weights],
        )
        if state != self._state:
            self._forget(state)
            self._images = torch.empty_like(batch)
        self._images.copy_(batch)

    def _evaluate(self) -> None:
        if self._replay is not None:
            self._replay()
        elif self._launched == BEFORE:
            self._replay = self._graphs.capture(self._take)
            self._replay()
        else:
            self._launched += 1
            watched = self._launched == BEFORE
            self._possible = self._graphs.launch(self._take, watched=watched)

    def _take(self) -> None:
        self._logits = self.network(self._images)


def graphs_serve(network: nn.Module, device: torch.device) -> bool:
    """Return whether a graph is known to hold all that a network does on a device.

    It holds kernels, and nothing of what Python does: all modules are of libraries that compute
    and no more, none has a hook, or a `forward` that was put in later.
    """
    return device.type == "cuda" and all(
        type(module).__module__.startswith(_KNOWN)
        and not (module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))
        for module in network.modules()
    )


@contextmanager
def _uncached_autocast(kind: str) -> Iterator[None]:
    """Cast weights anew for every batch: those of a cache are gone when a graph is replayed."""
    enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
    with torch.autocast(kind, dtype=dtype, enabled=enabled, cache_enabled=False):
        yield

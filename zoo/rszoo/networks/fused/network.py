"""A network that the fused kernels evaluate, and where they can.

Convolution, batch normalisation, shortcut and ReLU are one kernel, and a run of basic blocks is
one launch. The result is the same function up to rounding (bfloat16 between layers, float32 within
them), and therefore another one where certificates are concerned: logs record it.
"""

import warnings

import torch
from torch import Tensor, nn

from rszoo.errors import RszooError
from rszoo.networks.execution import evaluation_mode
from rszoo.networks.fused.machine import DTYPES, check_machine, check_sizes, current
from rszoo.networks.fused.plan import NotWorking, Unsupported
from rszoo.networks.fused.tracing import planned

__all__ = ["Fused", "fused_network"]

# Difference from the network, as a share of the scale of its logits, that rounding may make.
_TOLERANCE = {"bfloat16": 0.1, "float32": 0.01}


class Fused(nn.Module):
    """A network in eval mode, evaluated by fused kernels.

    It is planned when it is made, and again where its weights have changed since; that is looked
    for whenever it is put into eval mode, as before each count of votes.
    """

    def __init__(self, network: nn.Module, input_shape: tuple[int, ...], precision: str) -> None:
        """Plan a network, whose weights are where images will be, and try the kernels on it.

        Args:
            network: maps images `[B, C, H, W]` to logits.
            input_shape: of one image.
            precision: "bfloat16" or "float32", of weights and of results between layers.

        Raises:
            Unsupported: the kernels do not run here, do not serve the network, or differ from it.
        """
        super().__init__()
        self.network = network
        self.input_shape = input_shape
        self.precision = precision
        self._plan()

    def __reduce__(self) -> tuple[type["Fused"], tuple[nn.Module, tuple[int, ...], str]]:
        """Travel to another process as what is to be planned there."""
        return Fused, (self.network, self.input_shape, self.precision)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of images, float32."""
        with torch.autocast(x.device.type, enabled=False), current(x.device):
            return self._engine.logits(x.float())

    def train(self, mode: bool = True) -> "Fused":
        """Set the mode of the network; plan it anew if its weights are others by now."""
        super().train(mode)
        if not mode and self._state != _state(self.network):
            self._plan()
        return self

    @torch.no_grad()
    def _plan(self) -> None:
        device = next(self.network.parameters(), torch.zeros(())).device
        check_machine(device, self.precision)
        plan = planned(self.network, self.input_shape)
        check_sizes(plan)
        # Triton may be missing, and is slow to import.
        from rszoo.networks.fused.engine import Engine

        self._engine = Engine(plan, self.input_shape, dtype=DTYPES[self.precision], device=device)
        self._state = _state(self.network)
        self._try(device)

    def _try(self, device: torch.device) -> None:
        """Evaluate a few images by both; this compiles the kernels where they are not yet."""
        generator = torch.Generator().manual_seed(1)
        x = torch.rand((3, *self.input_shape), generator=generator).to(device)
        with evaluation_mode(self.network), torch.autocast(device.type, enabled=False):
            its = self.network(x.clone())
        try:
            mine = self(x)
        except Exception as error:  # of a compiler, a driver or a card that nobody has tried
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise NotWorking(f"expected kernels that run, got {reason}") from error
        change = float((mine - its).abs().max() / its.abs().max())
        if not change <= _TOLERANCE[self.precision]:
            raise NotWorking(
                f"expected the logits of the network, got a difference of {change:.2g} of their "
                "scale"
            )


def fused_network(
    network: nn.Module,
    fused: bool | None,
    *,
    input_shape: tuple[int, ...] | None,
    precision: str,
    device: torch.device,
) -> Fused | None:
    """Return a network evaluated by fused kernels, or None where the library evaluates it.

    Args:
        network: on `device`.
        fused: True for nothing else, False for the library; None for kernels where they fit: in
            bfloat16, on a GPU, of a network that they serve, where Triton is installed.
        input_shape: of one image; kernels need to know it.
        precision: "bfloat16" or "float32".
        device: where it runs.

    Raises:
        RszooError: `fused` is True, and something is missing for it.

    Warns:
        UserWarning: for None, where all is there and the kernels do not work.
    """
    if fused is False or (fused is None and (precision != "bfloat16" or device.type != "cuda")):
        return None
    try:
        if input_shape is None:
            raise Unsupported("expected input_shape, got None")
        return Fused(network, input_shape, precision)
    except Unsupported as error:
        if fused:
            raise RszooError(
                f"the network cannot be evaluated by fused kernels here: {error}; "
                "--no-fused, or fused=False, leaves it to PyTorch, which is another function, up "
                "to rounding, with logs of its own"
            ) from error
        if isinstance(error, NotWorking):
            warnings.warn(f"fused kernels are not used: {error}", stacklevel=3)
        return None


def _state(network: nn.Module) -> list[tuple[int, int]]:
    """Return what changes with the weights of a network."""
    tensors = [*network.parameters(), *network.buffers()]
    return [(one.data_ptr(), 0 if one.is_inference() else one._version) for one in tensors]

"""A network that the fused kernels evaluate, and where they can.

Convolution, batch normalisation, shortcut and ReLU are one kernel, and a run of basic blocks is
one launch. The result is the same function up to rounding (bfloat16 between layers, float32 within
them), and therefore another one where certificates are concerned: logs record it.
"""

import os
import warnings
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from rszoo.errors import RszooError
from rszoo.networks.execution import evaluation_mode
from rszoo.networks.fused.plan import NotWorking, Plan, Unsupported
from rszoo.networks.fused.tracing import planned

__all__ = ["Fused", "fused_network"]

_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}

# Difference from the network, as a share of the scale of its logits, that rounding may make.
_TOLERANCE = {"bfloat16": 0.1, "float32": 0.01}

_CHANNELS = (16, 32, 64, 128)
_MOST_IMAGE_CHANNELS = 14  # nine taps of which are 128 values at most


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
        with torch.autocast(x.device.type, enabled=False), _current(x.device):
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
        _check_machine(device, self.precision)
        plan = planned(self.network, self.input_shape)
        _check_sizes(plan)
        # Triton may be missing, and is slow to import.
        from rszoo.networks.fused.engine import Engine

        self._engine = Engine(plan, self.input_shape, dtype=_DTYPES[self.precision], device=device)
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


def _check_machine(device: torch.device, precision: str) -> None:
    """Refuse a machine that cannot run the kernels."""
    if find_spec("triton") is None:
        raise Unsupported("expected Triton (pip install 'rszoo[fused]'), which is not installed")
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if precision == "bfloat16" and capability < (8, 0):
            raise Unsupported(f"expected a GPU that multiplies bfloat16, got one of {capability}")
    elif os.environ.get("TRITON_INTERPRET") != "1":  # its interpreter, which is for tests
        raise Unsupported(f"expected a CUDA device, got {str(device)!r}")


def _check_sizes(plan: Plan) -> None:
    """Refuse convolutions that the kernels have no tiles for."""
    images = len(plan.mean)
    if images > _MOST_IMAGE_CHANNELS:
        raise Unsupported(
            f"expected images of {_MOST_IMAGE_CHANNELS} channels at most, got {images}"
        )
    for step in plan.steps:
        if step.channels not in _CHANNELS:
            raise Unsupported(f"expected layers of {_CHANNELS} channels, got {step.channels}")


def _state(network: nn.Module) -> list[tuple[int, int]]:
    """Return what changes with the weights of a network."""
    tensors = [*network.parameters(), *network.buffers()]
    return [(one.data_ptr(), 0 if one.is_inference() else one._version) for one in tensors]


def _current(device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which Triton, which asks what is current, runs on a device."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()

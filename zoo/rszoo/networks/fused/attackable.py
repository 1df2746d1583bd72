"""A network that learns, and what attacks on it call: the same network by fused kernels.

Attacks within a step of training ask for logits and their gradient in the images, of the network
as it is then, in eval mode. Its weights are folded and packed anew for each attack. The result is
the same up to rounding, as by bfloat16 autocast, but another rounding: bundles record it.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rszoo.errors import RszooError
from rszoo.networks.execution import autocast
from rszoo.networks.fused.machine import DTYPES, check_machine, check_sizes, current
from rszoo.networks.fused.plan import Unsupported
from rszoo.networks.fused.tracing import outlined

if TYPE_CHECKING:
    from rszoo.networks.fused.gradient import GradientEngine

__all__ = ["Attackable", "attackable"]

# Distance from the network's logits and gradients in float32, as a share of their length, that is
# put down to rounding, and how many times as far as PyTorch's own, in the precision, it may be.
_TOLERANCE, _TIMES = 0.1, 3.0


class Attackable(nn.Module):
    """A network as it learns, which says what attacks are to call while it is frozen.

    Attributes:
        network: what learns; calling this module calls it.
        attacked: whether kernels have evaluated an attack.
    """

    def __init__(
        self,
        network: nn.Module,
        input_shape: tuple[int, ...],
        precision: str,
        *,
        on_obstacle: Callable[[str], None],
    ) -> None:
        """Read what a network does.

        Args:
            network: maps images `[B, C, H, W]` to logits; where images will be.
            input_shape: of one image.
            precision: "bfloat16" or "float32".
            on_obstacle: called with the reason if the kernels do not work.

        Raises:
            Unsupported: the kernels do not run here, or do not serve the network.
        """
        super().__init__()
        self.network = network
        self.attacked = False
        self._precision, self._input_shape = precision, input_shape
        self._on_obstacle = on_obstacle
        self._works: bool | None = None
        check_machine(next(network.parameters(), torch.zeros(())).device, precision)
        self._outline = outlined(network, input_shape)
        check_sizes(self._outline.plan())

    def forward(self, x: Tensor) -> Tensor:
        """Return the network's logits of images."""
        return self.network(x)

    def frozen(self) -> nn.Module:
        """Return what an attack is to call, until weights change: kernels, or the network.

        The network has to be in eval mode, with frozen parameters. At first the kernels are tried
        beside it, which compiles them where they are not yet.
        """
        if self._works is None:
            obstacle = self._tried()
            self._works = obstacle is None
            if obstacle is not None:
                self._on_obstacle(obstacle)
        if not self._works:
            return self.network
        return _Packed(self._for_attack)

    def _for_attack(self) -> "GradientEngine":
        self.attacked = True
        return self._pack()

    def _pack(self) -> "GradientEngine":
        """Return what evaluates the network as it is now."""
        # Triton may be missing, and is slow to import.
        from rszoo.networks.fused.gradient import GradientEngine

        device = self._outline.head.weight.device
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            return GradientEngine(self._outline.plan(), dtype=DTYPES[self._precision])

    def _tried(self) -> str | None:
        """Return why the kernels are not to be used; None where they are as near as PyTorch."""
        device = next(self.network.parameters()).device
        exact = self._differentiated(self.network, device, "float32")
        library = self._differentiated(self.network, device, self._precision)
        try:
            mine = self._differentiated(_Packed(self._pack), device, self._precision)
        except Exception as error:  # of a compiler, a driver or a card that nobody has tried
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            return f"expected kernels that run, got {reason}"
        for what, here, there, right in zip(
            ("logits", "gradient"), mine, library, exact, strict=True
        ):
            distance, most = (here - right).norm(), _TIMES * (there - right).norm()
            if not bool(distance <= torch.maximum(most, _TOLERANCE * right.norm())):
                share = float(distance / right.norm())
                return f"expected the {what} of the network, got a difference of {share:.2g}"
        return None

    def _differentiated(
        self, network: nn.Module, device: torch.device, precision: str
    ) -> tuple[Tensor, Tensor]:
        """Return float32 logits of a few images, and the gradient of a random sum of them."""
        generator = torch.Generator().manual_seed(1)
        x = torch.rand((3, *self._input_shape), generator=generator).to(device).requires_grad_()
        with torch.enable_grad(), autocast(device, precision):
            logits = network(x).float()
        slopes = torch.randn(logits.shape, generator=generator).to(device)
        (gradient,) = torch.autograd.grad(logits, x, slopes)
        return logits.detach(), gradient


class _Packed(nn.Module):
    """A network as it is when it is first called, with a gradient in the images alone."""

    def __init__(self, pack: "Callable[[], GradientEngine]") -> None:
        super().__init__()
        self._pack = pack

    @cached_property
    def _engine(self) -> "GradientEngine":
        return self._pack()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of images, float32."""
        with torch.autocast(x.device.type, enabled=False), current(x.device):
            return self._engine.logits(x.float())


def attackable(
    network: nn.Module,
    fused: bool | None,
    *,
    input_shape: tuple[int, ...],
    precision: str,
    device: torch.device,
    on_obstacle: Callable[[str], None],
) -> Attackable | None:
    """Return a network whose attacks fused kernels evaluate, or None where PyTorch does.

    Args:
        network: on `device`.
        fused: True for nothing else, False for PyTorch; None for kernels where they fit: in
            bfloat16, on a GPU, of a network that they serve, where Triton is installed.
        input_shape: of one image.
        precision: "bfloat16" or "float32".
        device: where it runs.
        on_obstacle: called with the reason, for None, where all is there and the kernels do not
            work, once they are first needed.

    Raises:
        RszooError: `fused` is True, and something is missing for it.
    """
    if fused is False or (fused is None and (precision != "bfloat16" or device.type != "cuda")):
        return None

    def refuse(reason: str) -> None:
        raise RszooError(
            f"attacks on the network cannot be evaluated by fused kernels here: {reason}; "
            "--no-fused, or fused=False, leaves them to PyTorch"
        )

    try:
        how = {"on_obstacle": refuse if fused else on_obstacle}
        return Attackable(network, input_shape, precision, **how)
    except Unsupported as error:
        if fused:
            refuse(str(error))
        return None

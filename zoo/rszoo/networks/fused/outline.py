"""An outline: what a network computes, told by its layers, whose numbers change as it learns.

A plan has the numbers of one moment, with batch normalisation folded in by its running statistics.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

import torch
from torch import Tensor, nn

from rszoo.networks.fused.plan import Plan, Step
from rszoo.networks.normalize import Normalize

__all__ = ["Layer", "Outline"]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A convolution, and what follows it.

    Attributes:
        source, shortcut, relu: as those of a `rszoo.networks.fused.plan.Step`.
        conv: of 3x3 or 1x1 pixels, as steps are.
        norm: of its result, with running statistics; None for none.
    """

    source: int
    conv: nn.Conv2d
    norm: nn.BatchNorm2d | None = None
    shortcut: int | None = None
    relu: bool = False

    @property
    def form(self) -> tuple[object, ...]:
        """What layers have in common that are folded together: shapes, and what there is."""
        conv, norm = self.conv, self.norm
        normalized = None if norm is None else (norm.eps, norm.weight is None)
        return tuple(conv.weight.shape), conv.bias is None, normalized


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What a network computes in eval mode, whatever its weights are.

    Attributes:
        channels: of an image.
        normalize: the layer that standardises images; None for none.
        layers: in the order of computation; the last one's result is averaged over its pixels.
        head: the last, linear layer.
    """

    channels: int
    normalize: Normalize | None
    layers: tuple[Layer, ...]
    head: nn.Linear

    @torch.no_grad()
    def plan(self) -> Plan:
        """Return the plan of the network as it is now.

        The device is asked for no number, and does the same whatever they are; layers of one shape
        are folded together, since a deep network has a hundred.
        """
        folded: dict[int, tuple[Tensor, Tensor]] = {}
        for form in dict.fromkeys(layer.form for layer in self.layers):
            alike = [n for n, layer in enumerate(self.layers) if layer.form == form]
            both = _folded([self.layers[n] for n in alike])
            folded.update((n, (both[0][row], both[1][row])) for row, n in enumerate(alike))
        weight, bias = self.head.weight.detach().double(), self.head.bias
        nothing = weight.new_zeros(self.channels)
        mean, std = nothing, nothing + 1
        if self.normalize is not None:
            known = (self.normalize.mean, self.normalize.std)
            mean, std = (one.double().flatten().expand(self.channels) for one in known)
        return Plan(
            mean=mean,
            std=std,
            steps=tuple(_step(layer, *folded[n]) for n, layer in enumerate(self.layers)),
            weight=weight,
            bias=weight.new_zeros(len(weight)) if bias is None else bias.detach().double(),
        )


def _step(layer: Layer, weight: Tensor, bias: Tensor) -> Step:
    return Step(
        source=layer.source,
        weight=weight,
        bias=bias,
        stride=layer.conv.stride[0],
        shortcut=layer.shortcut,
        relu=layer.relu,
    )


def _folded(layers: Sequence[Layer]) -> tuple[Tensor, Tensor]:
    """Return the weights `[L, out, in, k, k]` and biases `[L, out]` of layers of one form."""

    def all_of(name: str) -> Tensor:
        return torch.stack([attrgetter(name)(layer) for layer in layers]).double()

    conv, norm = layers[0].conv, layers[0].norm
    # Channels last, as weights of placed networks lie: what is contiguous is stacked at once.
    taps = torch.stack([layer.conv.weight.permute(0, 2, 3, 1) for layer in layers])
    weight = taps.permute(0, 1, 4, 2, 3).contiguous().double()
    bias = weight.new_zeros(weight.shape[:2]) if conv.bias is None else all_of("conv.bias")
    if norm is None:
        return weight, bias
    scale = (all_of("norm.running_var") + norm.eps).rsqrt()
    shift = torch.zeros_like(scale)
    if norm.weight is not None:
        scale, shift = scale * all_of("norm.weight"), all_of("norm.bias")
    weight = weight * scale[:, :, None, None, None]
    return weight, (bias - all_of("norm.running_mean")) * scale + shift

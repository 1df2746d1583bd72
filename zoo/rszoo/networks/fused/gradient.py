"""Logits and their gradient in the images, by the fused kernels: what an attack asks of a network.

The gradient of a step's convolution is a convolution too, with the taps in the opposite order and
the channels exchanged; where the step has a stride of 2, of pixels that are spread among zeros. A
ReLU lets through what comes back where its result is positive, which is one load at the end of it.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rszoo.errors import RszooError
from rszoo.networks.fused.launching import MOST_VALUES, convolve, convolve_images
from rszoo.networks.fused.machine import current
from rszoo.networks.fused.packing import taps
from rszoo.networks.fused.plan import IMAGES, Plan, Step

__all__ = ["GradientEngine"]

# The gradient in images has so many channels, of which those beyond theirs are zero.
_IMAGE_CHANNELS = 16


class GradientEngine:
    """Evaluates a plan by kernels, and what changes its logits in the images.

    Its weights are packed by operations of the device, of the same shapes whatever they are: a
    CUDA graph can hold them.
    """

    def __init__(self, plan: Plan, *, dtype: torch.dtype) -> None:
        """Pack a plan's weights, where they are.

        Args:
            plan: what to evaluate.
            dtype: of weights, results and gradients between convolutions; sums are float32.
        """
        self.plan, self.dtype = plan, dtype
        self.mean, self.std, self.weight, self.bias = (
            one.float() for one in (plan.mean, plan.std, plan.weight, plan.bias)
        )
        self.nothing = self.weight.new_zeros(max(step.channels for step in plan.steps))
        self.there: dict[int, Tensor] = {}
        self.back: dict[int, Tensor] = {}
        self.biases: dict[int, Tensor] = {}
        for alike in _alike(plan.steps):
            steps = [plan.steps[n] for n in alike]
            for kept, packed in (
                (self.there, taps(steps).to(dtype)),
                (self.back, _taps_back(steps).to(dtype)),
                (self.biases, torch.stack([step.bias for step in steps]).float()),
            ):
                kept.update(zip(alike, packed.contiguous().unbind(), strict=True))

    def logits(self, x: Tensor) -> Tensor:
        """Return the float32 logits `[B, classes]` of float32 images `[B, C, H, W]`.

        They have a gradient in the images, and none in anything else.
        """
        most = max(1, MOST_VALUES // (x.shape[2] * x.shape[3] * len(self.nothing)))
        found: list[Tensor] = [_Logits.apply(some, self) for some in x.split(most)]
        return found[0] if len(found) == 1 else torch.cat(found)

    def results(self, x: Tensor) -> list[Tensor]:
        """Return the results of all steps on images, each `[B, h, w, channels]`."""
        found: list[Tensor] = []
        for number, step in enumerate(self.plan.steps):
            weight, bias = self.there[number], self.biases[number]
            if step.source == IMAGES:
                how = {"relu": step.relu, "dtype": self.dtype}
                found.append(convolve_images(x, self.mean, self.std, weight, bias, **how))
                continue
            source = found[step.source]
            y = convolve(
                source,
                weight,
                bias,
                size=step.size_of(*source.shape[1:3]),
                stride=step.stride,
                shortcut=None if step.shortcut is None else found[step.shortcut],
                relu=step.relu,
            )
            found.append(y)
        return found

    def gradient(self, results: Sequence[Tensor], slopes: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the gradient in images `[B, C, *size]` of logits times slopes `[B, classes]`."""
        steps, last = self.plan.steps, results[-1]
        even = (slopes @ self.weight / last.shape[1:3].numel()).to(self.dtype)
        found = {len(steps) - 1: even[:, None, None].expand(last.shape).contiguous()}
        unmasked = set(found)
        for number in reversed(range(len(steps))):
            slope, step = found.pop(number, None), steps[number]
            if slope is None:
                continue  # nothing that leads to the logits reads it
            if number in unmasked and step.relu:
                slope = torch.where(results[number] > 0, slope, 0.0)
            if step.shortcut is not None:
                added = found.get(step.shortcut)
                found[step.shortcut] = slope if added is None else slope + added
                unmasked.add(step.shortcut)
            found[step.source] = self._back(number, slope, results, found.get(step.source), size)
            unmasked.discard(step.source)
        images = found[IMAGES][..., : len(self.mean)] / self.std
        return images.permute(0, 3, 1, 2)

    def _back(
        self,
        number: int,
        slope: Tensor,
        results: Sequence[Tensor],
        added: Tensor | None,
        size: tuple[int, int],
    ) -> Tensor:
        """Return what comes back to the source of a step, besides what was added there before."""
        step = self.plan.steps[number]
        how = {"spread": step.stride, "shortcut": added}
        weight, nothing = self.back[number], self.nothing
        if step.source == IMAGES:
            return convolve(slope, weight, nothing, size=size, dtype=torch.float32, **how)
        source = results[step.source]
        height, width = source.shape[1:3]
        mask = source if self.plan.steps[step.source].relu else None
        return convolve(slope, weight, nothing, size=(height, width), mask=mask, **how)


class _Logits(torch.autograd.Function):
    """Logits of images, whose gradient is made by kernels; it has none itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, engine: GradientEngine) -> Tensor:  # noqa: ANN401
        results = engine.results(x)
        ctx.engine, ctx.size = engine, x.shape[2:]
        ctx.save_for_backward(*results)
        pooled = results[-1].mean((1, 2), dtype=torch.float32)
        return F.linear(pooled, engine.weight, engine.bias)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        if torch.is_grad_enabled():
            raise RszooError(
                "expected a first derivative of a network that fused kernels evaluate, got "
                "create_graph=True: they have no second one; --no-fused, or fused=False, leaves "
                "attacks to PyTorch, which has"
            )
        device = slopes[0].device
        with torch.autocast(device.type, enabled=False), current(device):
            return ctx.engine.gradient(ctx.saved_tensors, slopes[0], tuple(ctx.size)), None


def _alike(steps: Sequence[Step]) -> list[list[int]]:
    """Return the numbers of steps that are packed together, in groups."""
    forms = [(step.weight.shape, step.source == IMAGES) for step in steps]
    return [[n for n, one in enumerate(forms) if one == form] for form in dict.fromkeys(forms)]


def _taps_back(steps: Sequence[Step]) -> Tensor:
    """Return the weights of the gradients of steps of one shape: `[steps, k^2, out, in]`.

    Those of images have as many channels as a tile needs.
    """
    weights = torch.stack([step.weight for step in steps]).permute(0, 3, 4, 1, 2).flatten(1, 2)
    missing = _IMAGE_CHANNELS - weights.shape[-1] if steps[0].source == IMAGES else 0
    return F.pad(weights.flip(1), (0, missing))

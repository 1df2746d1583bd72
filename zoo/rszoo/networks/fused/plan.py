"""A plan: a network as convolutions with everything that follows them folded in.

A step is `relu(convolution(x) + bias + shortcut)`, with batch normalisation in weights and bias.
That is all that a residual network without its bottlenecks does between its images and the
average over pixels, after which one linear layer gives the logits.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rszoo.errors import RszooError

__all__ = ["IMAGES", "NotWorking", "Plan", "Step", "Unsupported", "by_torch"]

#: The value that a step reads which reads the images themselves, standardised.
IMAGES = -1


class Unsupported(RszooError):
    """A network, or a machine, that the fused kernels do not serve; says what was expected."""


class NotWorking(Unsupported):
    """Kernels that do not do here what they should; says what happened."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A convolution, and what follows it.

    Attributes:
        source: the step whose result it reads, or `IMAGES`.
        weight: float64 `[out, in, k, k]`, k of 1 or 3; the padding is (k - 1) / 2 zeros.
        bias: float64 `[out]`.
        stride: 1 or 2.
        shortcut: the step whose result is added before the ReLU; None for no such sum.
        relu: whether negative numbers become zero.
    """

    source: int
    weight: Tensor
    bias: Tensor
    stride: int
    shortcut: int | None
    relu: bool

    @property
    def channels(self) -> int:
        """The number of channels of its result."""
        return len(self.weight)

    @property
    def kernel(self) -> int:
        """The width of its kernel: 1 or 3."""
        return self.weight.shape[-1]

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of its result, of those of what it reads."""
        return -(-height // self.stride), -(-width // self.stride)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a network computes, in eval mode.

    Attributes:
        mean, std: float64 `[C]`: images are standardised by them, before any padding.
        steps: in the order of computation; the last one's result is averaged over its pixels.
        weight, bias: float64 `[classes, channels]` and `[classes]` of the last, linear layer.
    """

    mean: Tensor
    std: Tensor
    steps: tuple[Step, ...]
    weight: Tensor
    bias: Tensor

    def readers(self, step: int) -> list[int]:
        """Return the steps that read the result of one, in order."""
        return [
            number for number, one in enumerate(self.steps) if step in (one.source, one.shortcut)
        ]


def by_torch(plan: Plan, x: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the logits of images `[B, C, H, W]` by torch's own layers, in a data type."""
    results: list[Tensor] = []
    std, mean = (one.to(x.device, torch.float32).view(-1, 1, 1) for one in (plan.std, plan.mean))
    images = ((x - mean) / std).to(dtype)
    for step in plan.steps:
        source = images if step.source == IMAGES else results[step.source]
        weight, bias = (one.to(x.device, dtype) for one in (step.weight, step.bias))
        y = F.conv2d(source, weight, bias, step.stride, step.kernel // 2)
        y = y if step.shortcut is None else y + results[step.shortcut]
        results.append(y.relu() if step.relu else y)
    pooled = results[-1].mean((2, 3))
    return F.linear(pooled, plan.weight.to(pooled), plan.bias.to(pooled))

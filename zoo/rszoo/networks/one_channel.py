"""A convolution of one-channel images with a fast gradient in the images, on a CPU.

Attacks need that gradient at every step. As one product of matrices, spread over the image by 25
shifted sums (for a 5x5 kernel), it takes a seventh of the time of the library's convolution with
one output channel.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_weight

__all__ = ["convolve"]


def convolve(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Return `layer(x)`, for a convolution with stride 1, one group and no padding."""
    if layer.in_channels == 1 and x.requires_grad and x.device.type == "cpu":
        return _Convolution.apply(x, layer.weight, layer.bias)
    return layer(x)


class _Context(Protocol):
    saved_tensors: tuple[Tensor, Tensor]
    needs_input_grad: tuple[bool, bool, bool]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: "_Context", x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: "_Context", gradient: Tensor
    ) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        in_x, in_weight, in_bias = ctx.needs_input_grad
        of_weight = None
        if in_weight:
            same = x.to(gradient.dtype)
            of_weight = conv2d_weight(same, weight.shape, gradient).to(weight.dtype)
        return (
            _gradient_in_images(gradient, weight).to(x.dtype) if in_x else None,
            of_weight,
            gradient.sum((0, 2, 3)).to(weight.dtype) if in_bias else None,
        )


def _gradient_in_images(gradient: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient in the images `[B, 1, H, W]` for one in the outputs `[B, C, h, w]`."""
    (batch, channels, rows, columns), (height, width) = gradient.shape, weight.shape[2:]
    taps = weight.to(gradient.dtype).reshape(channels, -1).t()
    planes = taps @ gradient.permute(0, 2, 3, 1).reshape(-1, channels).t()
    images = gradient.new_zeros(batch, 1, rows + height - 1, columns + width - 1)
    for tap, plane in enumerate(planes.view(-1, batch, rows, columns)):
        i, j = divmod(tap, width)
        images[:, 0, i : i + rows, j : j + columns] += plane
    return images

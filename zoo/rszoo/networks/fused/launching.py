"""Launches of the kernels on tensors: who computes what, and into which memory."""

from typing import Any

import torch
from torch import Tensor

from rszoo.networks.fused import kernels
from rszoo.networks.fused.packing import tiling

__all__ = ["MOST_VALUES", "convolve", "convolve_images", "run_blocks"]

#: Kernels count in 32 bits.
MOST_VALUES = 2**31 - 1


def _launch(
    kernel: Any,  # noqa: ANN401
    programs: int,
    *arguments: object,
    warps: int,
    **constants: object,
) -> None:
    kernel[(programs,)](*arguments, **constants, num_warps=warps)


def _ceil(size: int, share: int) -> int:
    return -(-size // share)


def convolve_images(
    x: Tensor,
    mean: Tensor,
    std: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    relu: bool,
    dtype: torch.dtype,
) -> Tensor:
    """Return a 3x3 convolution of images `[B, C, H, W]`, standardised, as `[B, H, W, D]`.

    Args:
        x: float32, in any memory order.
        mean, std: float32 `[C]`.
        weight: `[values, D]`, see `rszoo.networks.fused.packing.taps`.
        bias: float32 `[D]`.
        relu: whether negative numbers become zero.
        dtype: of the result.
    """
    number, channels, height, width = x.shape
    values, size = weight.shape
    y = x.new_empty((number, height, width, size), dtype=dtype)
    pixels, tile = number * height * width, 128
    _launch(
        kernels.images,
        _ceil(pixels, tile),
        x,
        mean,
        std,
        weight,
        bias,
        y,
        pixels,
        *x.stride(),
        H=height,
        W=width,
        CHANNELS=channels,
        VALUES=values,
        D=size,
        RELU=relu,
        TILE=tile,
        warps=4,
    )
    return y


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    size: tuple[int, int],
    stride: int = 1,
    spread: int = 1,
    shortcut: Tensor | None = None,
    relu: bool = False,
    mask: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Return a convolution of `[B, h, w, C]`, and what follows it, as `[B, *size, D]`.

    Args:
        x: what is read, channels last.
        weight: `[k^2, C, D]`, k of 1 or 3.
        bias: float32, of D numbers at least.
        size: rows and columns of the result.
        stride: 1 or 2.
        spread: distance of the pixels of x, between which there are zeros; 1 or 2.
        shortcut: what is added, of the result's shape.
        relu: whether negative numbers become zero.
        mask: of the result's shape; where it is not positive, the result is zero.
        dtype: of the result; None: that of x.
    """
    number, *sides, channels = x.shape
    height, width = size
    kernel = 3 if len(weight) == 9 else 1
    y = x.new_empty((number, height, width, weight.shape[-1]), dtype=dtype)
    shares = tiling(channels=y.shape[-1], kernel=kernel, stride=stride, height=height)
    places = number * height * width // shares.rows
    sizes = {"H": height, "W": width, "IN_H": sides[0], "IN_W": sides[1], "C": channels}
    follows = {"SHORTCUT": shortcut is not None, "RELU": relu, "MASKED": mask is not None}
    tiles = {"ROWS": shares.rows, "TILE": shares.tile, "warps": shares.warps}
    _launch(
        kernels.convolution,
        _ceil(places, shares.tile),
        x,
        weight,
        bias,
        y if shortcut is None else shortcut,
        y if mask is None else mask,
        y,
        places,
        **sizes,
        D=y.shape[-1],
        KERNEL=kernel,
        STRIDE=stride,
        SPREAD=spread,
        **follows,
        **tiles,
    )
    return y


def run_blocks(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return a run of basic blocks on `[B, H, W, C]`, in one launch.

    Args:
        x: what the first block reads.
        weight: `[convolutions, 9, C, C]`.
        bias: float32 `[convolutions, C]`.
    """
    number, height, width, channels = x.shape
    shares = tiling(channels=channels, kernel=3, stride=1, height=height)
    middle, y = torch.empty_like(x), torch.empty_like(x)
    places = height // shares.rows * width
    images = max(1, shares.tile // places)
    _launch(
        kernels.blocks,
        _ceil(number, images),
        x,
        weight,
        bias,
        middle,
        y,
        number,
        len(weight),
        _ceil(images * places, shares.tile),
        H=height,
        W=width,
        C=channels,
        ROWS=shares.rows,
        TILE=shares.tile,
        IMAGES=images,
        warps=shares.warps,
    )
    return y

"""A network whose convolutions are evaluated by the fused kernels."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rszoo.networks.fused import kernels
from rszoo.networks.fused.packing import Launch, launches, tiling
from rszoo.networks.fused.plan import IMAGES, Plan

__all__ = ["Engine"]

# Kernels count in 32 bits.
_MOST_VALUES = 2**31 - 1


class Engine:
    """Evaluates a plan by kernels, one launch after the other."""

    def __init__(
        self, plan: Plan, input_shape: tuple[int, ...], *, dtype: torch.dtype, device: torch.device
    ) -> None:
        """Put a plan's weights onto a device.

        Args:
            plan: what to evaluate.
            input_shape: `[C, H, W]` of an image.
            dtype: of weights and results between convolutions; sums are float32.
            device: where images will be.
        """
        self.dtype = dtype
        self.launches = launches(plan, dtype=dtype, device=device)
        single = {"device": device, "dtype": torch.float32}
        self.mean, self.std, self.weight, self.bias = (
            one.to(**single) for one in (plan.mean, plan.std, plan.weight, plan.bias)
        )
        _, height, width = input_shape
        channels = max(step.channels for step in plan.steps)
        self.most_images = max(1, _MOST_VALUES // (height * width * channels))

    def logits(self, x: Tensor) -> Tensor:
        """Return the float32 logits `[B, classes]` of float32 images `[B, C, H, W]`."""
        return torch.cat([self._logits(some) for some in x.split(self.most_images)])

    def _logits(self, x: Tensor) -> Tensor:
        results: dict[int, Tensor] = {}
        last = x
        for launch in self.launches:
            if launch.first.source == IMAGES:
                last = self._on_images(launch, x)
            elif len(launch.steps) > 1:
                last = _blocks(launch, results[launch.first.source])
            else:
                added = launch.first.shortcut
                shortcut = None if added is None else results[added]
                last = _convolution(launch, results[launch.first.source], shortcut)
            for number in launch.done:
                del results[number]
            results[launch.result] = last
        return F.linear(last.mean((1, 2), dtype=torch.float32), self.weight, self.bias)

    def _on_images(self, launch: Launch, x: Tensor) -> Tensor:
        """Return a convolution of the images, standardised, as `[B, H, W, channels]`."""
        number, channels, height, width = x.shape
        y = x.new_empty((number, height, width, launch.first.channels), dtype=self.dtype)
        pixels, tile = number * height * width, 128
        _launch(
            kernels.images,
            _ceil(pixels, tile),
            x,
            self.mean,
            self.std,
            launch.weight,
            launch.bias,
            y,
            pixels,
            *x.stride(),
            H=height,
            W=width,
            CHANNELS=channels,
            VALUES=launch.weight.shape[1],
            D=launch.first.channels,
            RELU=launch.first.relu,
            TILE=tile,
            warps=4,
        )
        return y


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


def _convolution(launch: Launch, x: Tensor, shortcut: Tensor | None) -> Tensor:
    """Return one step on the results `[B, H, W, channels]` of others."""
    step, (number, *sides, channels) = launch.first, x.shape
    height, width = (_ceil(side, step.stride) for side in sides)
    shares = tiling(step, height)
    y = x.new_empty((number, height, width, step.channels))
    places = number * height * width // shares.rows
    _launch(
        kernels.convolution,
        _ceil(places, shares.tile),
        x,
        launch.weight,
        launch.bias,
        y if shortcut is None else shortcut,
        y,
        places,
        H=height,
        W=width,
        IN_H=sides[0],
        IN_W=sides[1],
        C=channels,
        D=step.channels,
        KERNEL=step.kernel,
        STRIDE=step.stride,
        ROWS=shares.rows,
        SHORTCUT=shortcut is not None,
        RELU=step.relu,
        TILE=shares.tile,
        warps=shares.warps,
    )
    return y


def _blocks(launch: Launch, x: Tensor) -> Tensor:
    """Return a run of basic blocks on the result `[B, H, W, channels]` of a step."""
    number, height, width, channels = x.shape
    shares = tiling(launch.first, height)
    middle, y = torch.empty_like(x), torch.empty_like(x)
    places = height // shares.rows * width
    images = max(1, shares.tile // places)
    _launch(
        kernels.blocks,
        _ceil(number, images),
        x,
        launch.weight,
        launch.bias,
        middle,
        y,
        number,
        len(launch.steps),
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

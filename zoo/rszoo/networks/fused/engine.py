"""A network whose convolutions are evaluated by the fused kernels."""

import torch
import torch.nn.functional as F
from torch import Tensor

from rszoo.networks.fused.launching import MOST_VALUES, convolve, convolve_images, run_blocks
from rszoo.networks.fused.packing import Launch, launches
from rszoo.networks.fused.plan import IMAGES, Plan

__all__ = ["Engine"]


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
        self.most_images = max(1, MOST_VALUES // (height * width * channels))

    def logits(self, x: Tensor) -> Tensor:
        """Return the float32 logits `[B, classes]` of float32 images `[B, C, H, W]`."""
        return torch.cat([self._logits(some) for some in x.split(self.most_images)])

    def _logits(self, x: Tensor) -> Tensor:
        results: dict[int, Tensor] = {}
        last = x
        for launch in self.launches:
            first = launch.first
            if first.source == IMAGES:
                last = convolve_images(
                    x,
                    self.mean,
                    self.std,
                    launch.weight[0],
                    launch.bias[0],
                    relu=first.relu,
                    dtype=self.dtype,
                )
            elif len(launch.steps) > 1:
                last = run_blocks(results[first.source], launch.weight, launch.bias)
            else:
                last = _step(launch, results)
            for number in launch.done:
                del results[number]
            results[launch.result] = last
        return F.linear(last.mean((1, 2), dtype=torch.float32), self.weight, self.bias)


def _step(launch: Launch, results: dict[int, Tensor]) -> Tensor:
    """Return the result of a step by itself."""
    step, source = launch.first, results[launch.first.source]
    return convolve(
        source,
        launch.weight[0],
        launch.bias[0],
        size=step.size_of(source.shape[1], source.shape[2]),
        stride=step.stride,
        shortcut=None if step.shortcut is None else results[step.shortcut],
        relu=step.relu,
    )

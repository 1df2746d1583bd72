"""From a plan to launches of the kernels: weights in their memory order, and who runs what.

Runs of basic blocks are one launch, see `rszoo.networks.fused.kernels.blocks`: each program takes
its images through all of them. Anything else is one launch for each step.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rszoo.networks.fused.plan import IMAGES, Plan, Step

__all__ = ["Launch", "Tiling", "launches", "taps", "tiling"]


@dataclass(frozen=True, kw_only=True)
class Launch:
    """The steps of one launch of a kernel.

    Attributes:
        steps: their numbers: one step, or the convolutions of a run of basic blocks.
        first: the first of them.
        weight: `[len(steps), k^2, in, out]`, on the device.
        bias: float32 `[len(steps), out]`, on the device.
        done: results that no later launch reads.
    """

    steps: range
    first: Step
    weight: Tensor
    bias: Tensor
    done: tuple[int, ...]

    @property
    def result(self) -> int:
        """The number of the step whose result it leaves."""
        return self.steps[-1]


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """The share of one program in a convolution.

    Attributes:
        rows: pixels of a place, one below the other.
        tile: places of a tile.
        warps: that work on it.
    """

    rows: int
    tile: int
    warps: int


# By channels of the result, for 3x3 convolutions with stride 1. Chosen by the machine code for
# sm_90: the fewest words through shared memory for 256 pixels of what needs no more registers than
# there are (with 16 channels, 1048 of 128 bytes; 1624 with a row at a time).
_TILINGS = {
    16: Tiling(rows=4, tile=64, warps=4),
    32: Tiling(rows=4, tile=64, warps=4),
    64: Tiling(rows=2, tile=64, warps=4),
}
_SIMPLE = Tiling(rows=1, tile=64, warps=4)


def tiling(*, channels: int, kernel: int, stride: int, height: int) -> Tiling:
    """Return how a convolution is shared out, whose result has so many channels and rows."""
    if kernel != 3 or stride != 1:
        return _SIMPLE
    found = _TILINGS.get(channels, _SIMPLE)
    rows = next(rows for rows in (4, 2, 1) if rows <= found.rows and height % rows == 0)
    return Tiling(rows=rows, tile=found.tile, warps=found.warps)


def launches(plan: Plan, *, dtype: torch.dtype, device: torch.device) -> tuple[Launch, ...]:
    """Return the launches of a plan, in order, with their weights in a data type on a device."""
    return tuple(
        Launch(
            steps=steps,
            first=plan.steps[steps[0]],
            weight=taps([plan.steps[n] for n in steps]).to(device, dtype).contiguous(),
            bias=torch.stack([plan.steps[n].bias for n in steps]).to(device, torch.float32),
            done=_done(plan, steps),
        )
        for steps in _shared_out(plan)
    )


def taps(steps: Sequence[Step]) -> Tensor:
    """Return the weights of steps of one shape in the order (tap, channel, channel of the result).

    On images, whose channels are few, (tap, channel) is one axis, filled up to a power of two.
    """
    weights = torch.stack([step.weight for step in steps]).permute(0, 3, 4, 2, 1).flatten(1, 2)
    if steps[0].source != IMAGES:
        return weights
    values = weights.flatten(1, 2)
    size = max(16, 1 << (values.shape[1] - 1).bit_length())
    return F.pad(values, (0, 0, 0, size - values.shape[1]))


def _done(plan: Plan, steps: range) -> tuple[int, ...]:
    """Return the results that are read by these steps, and by none after them."""
    read = {n for step in steps for n in (plan.steps[step].source, plan.steps[step].shortcut)}
    return tuple(
        n
        for n in read
        if n is not None and 0 <= n < steps[0] and max(plan.readers(n)) <= steps[-1]
    )


def _shared_out(plan: Plan) -> Iterator[range]:
    """Yield the steps of each launch."""
    number = 0
    while number < len(plan.steps):
        end = number
        while _is_block(plan, end) and (end == number or _follows(plan, end)):
            end += 2
        end = max(end, number + 1)
        yield range(number, end)
        number = end


def _is_block(plan: Plan, number: int) -> bool:
    """Return whether two steps are a basic block whose shortcut is what it reads."""
    if number + 1 >= len(plan.steps):
        return False
    one, other = plan.steps[number], plan.steps[number + 1]
    return (
        one.source != IMAGES
        and all(step.kernel == 3 and step.stride == 1 and step.relu for step in (one, other))
        and one.weight.shape == other.weight.shape == (one.channels, one.channels, 3, 3)
        and (one.shortcut, other.source, other.shortcut) == (None, number, one.source)
        and plan.readers(number) == [number + 1]
    )


def _follows(plan: Plan, number: int) -> bool:
    """Return whether a block is all that reads the result of the step before it."""
    reading = [number, number + 1]
    return plan.steps[number].source == number - 1 and plan.readers(number - 1) == reading

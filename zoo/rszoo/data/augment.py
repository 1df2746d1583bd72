"""Random crops and flips of whole batches, without a Python loop over images.

All random choices are drawn from one generator, on that generator's device, so that they are the
same wherever the images lie.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from rszoo.errors import unknown_name

AUGMENTATIONS = ("none", "crop_flip", "resized_crop_flip")

_TRIES = 10
_SCALE = (0.08, 1.0)
_RATIO = (3 / 4, 4 / 3)

CHOICES = 2 * _TRIES + 3
"""Number of uniform variates that one random resized crop with flip consumes."""


def check(augment: str) -> None:
    """Raise RszooError unless `augment` is one of `AUGMENTATIONS`."""
    if augment not in AUGMENTATIONS:
        raise unknown_name("augmentation", augment, AUGMENTATIONS)


def uniforms(*size: int, generator: torch.Generator | None) -> Tensor:
    """Return variates in [0, 1) of the given size, on the generator's device."""
    return torch.rand(size, generator=generator, device=generator.device if generator else "cpu")


def crop_flip(x: Tensor, *, generator: torch.Generator | None, padding: int = 4) -> Tensor:
    """Pad with zeros, crop at a random place to the old size, flip left-right half the time.

    Args:
        x: [B, C, H, W], any dtype.
        generator: source of the random choices.
        padding: width of the zero border in pixels.
    """
    batch, channels, height, width = x.shape
    choices = _moved(uniforms(3, batch, generator=generator), x.device)
    top, left = (choices[:2] * (2 * padding + 1)).long()
    flip = choices[2] < 0.5

    rows = top[:, None] + torch.arange(height, device=x.device)
    columns = left[:, None] + torch.arange(width, device=x.device)
    columns = torch.where(flip[:, None], columns.flip(1), columns)
    cells = rows[:, :, None] * (width + 2 * padding) + columns[:, None, :]

    padded = F.pad(x, [padding] * 4).flatten(2)
    cells = cells.flatten(1)[:, None].expand(-1, channels, -1)
    return padded.gather(2, cells).view_as(x)


def resized_crop_flip(x: Tensor, *, generator: torch.Generator | None) -> Tensor:
    """Cut a random box out of each image, scale it to full size, flip it half the time.

    See `random_boxes` for the boxes.

    Args:
        x: float [B, C, H, W].
        generator: source of the random choices.
    """
    batch, _, height, width = x.shape
    choices = _moved(uniforms(batch, CHOICES, generator=generator), x.device)
    top, left, rows, columns, flip = random_boxes(choices, height, width)
    x_at = _sampled(left, columns, width)
    x_at = torch.where(flip[:, None], x_at.flip(1), x_at)
    y_at = _sampled(top, rows, height)
    grid = torch.stack(
        (x_at[:, None, :].expand(-1, height, -1), y_at[:, :, None].expand(-1, -1, width)), dim=-1
    )
    return F.grid_sample(x, grid.to(x.dtype), mode="bilinear", align_corners=False)


def random_boxes(choices: Tensor, height: int, width: int) -> tuple[Tensor, ...]:
    """Return boxes of 8 to 100 % of the area, 3:4 to 4:3 in shape, and a coin for each.

    The distribution is that of torchvision's RandomResizedCrop: the first of ten proposals that
    fits; should none fit, the largest box of an allowed ratio.

    Args:
        choices: [B, CHOICES] uniform variates in [0, 1).
        height: of the image, in pixels.
        width: of the image, in pixels.

    Returns:
        top, left, rows, columns (int64 [B], in pixels) and flip (bool [B]).
    """
    area = height * width * (_SCALE[0] + (_SCALE[1] - _SCALE[0]) * choices[:, :_TRIES])
    low, high = math.log(_RATIO[0]), math.log(_RATIO[1])
    ratio = (low + (high - low) * choices[:, _TRIES : 2 * _TRIES]).exp()
    rows, columns = (area / ratio).sqrt().round(), (area * ratio).sqrt().round()
    rows = F.pad(rows, (0, 1), value=min(height, round(width / _RATIO[0])))
    columns = F.pad(columns, (0, 1), value=min(width, round(height * _RATIO[1])))

    fits = (rows >= 1) & (rows <= height) & (columns >= 1) & (columns <= width)
    first = fits.int().argmax(1, keepdim=True)
    rows, columns = rows.gather(1, first)[:, 0], columns.gather(1, first)[:, 0]
    top = (choices[:, -3] * (height - rows + 1)).floor()
    left = (choices[:, -2] * (width - columns + 1)).floor()
    return top.long(), left.long(), rows.long(), columns.long(), choices[:, -1] < 0.5


def _moved(choices: Tensor, device: torch.device) -> Tensor:
    """Return choices on a device; a GPU takes them from pinned memory, and is not waited for."""
    if device.type == "cuda" and choices.device.type == "cpu":
        return choices.pin_memory().to(device, non_blocking=True)
    return choices.to(device)


def _sampled(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Return where `size` pixels lie along a side of a box [B, size], in grid_sample's [-1, 1]."""
    centres = (torch.arange(size, device=start.device) + 0.5) / size
    at = start[:, None] + length[:, None] * centres
    # pixels outside the box must not leak into its border
    at = at.clamp(start[:, None] + 0.5, (start + length)[:, None] - 0.5)
    return 2 * at / size - 1

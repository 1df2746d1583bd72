"""DRUNet, a U-Net of residual blocks that removes noise; for a GPU.

Zhang, Li, Zuo, Zhang, Van Gool and Timofte (2021), Plug-and-Play Image Restoration with Deep
Denoiser Prior, https://arxiv.org/abs/2008.13751: four scales of 64 to 512 channels with four
blocks each, no biases. Theirs is told the noise level by a further channel; ours is for one.
"""

from itertools import pairwise
from typing import Annotated

import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

#: Images, less noisy ones.
GIVES = "images"

_Width = Annotated[int, Ge(1), Le(1024)]
_Blocks = Annotated[int, Ge(1), Le(32)]
_Scales = Annotated[int, Ge(1), Le(6)]


def build(
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    width: _Width = 64,
    blocks: _Blocks = 4,
    scales: _Scales = 4,
) -> nn.Module:
    """Return a DRUNet.

    Args:
        width: channels at the finest scale; twice as many at each coarser one.
        blocks: residual blocks of each scale, down and up.
        scales: how many; each halves the sides.
    """
    del num_classes
    return _DRUNet(input_shape[0], width, blocks, scales)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x)))


class _DRUNet(nn.Module):
    """Maps noisy images `[B, C, H, W]` to what is left of them without their noise."""

    def __init__(self, channels: int, width: int, blocks: int, scales: int) -> None:
        super().__init__()
        widths = [width << scale for scale in range(scales)]
        self.head = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for fine, coarse in pairwise(widths):
            shrink = nn.Conv2d(fine, coarse, 2, stride=2, bias=False)
            self.down.append(nn.Sequential(*(_Block(fine) for _ in range(blocks)), shrink))
            grow = nn.ConvTranspose2d(coarse, fine, 2, stride=2, bias=False)
            self.up.append(nn.Sequential(grow, *(_Block(fine) for _ in range(blocks))))
        self.body = nn.Sequential(*(_Block(widths[-1]) for _ in range(blocks)))
        self.tail = nn.Conv2d(width, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        side = 1 << len(self.down)
        features = [self.head(F.pad(x, (0, -width % side, 0, -height % side), mode="replicate"))]
        for down in self.down:
            features.append(down(features[-1]))
        out = self.body(features[-1])
        for up, skipped in zip(reversed(self.up), reversed(features[1:]), strict=True):
            out = up(out + skipped)
        return self.tail(out + features[0])[..., :height, :width]

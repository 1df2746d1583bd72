"""CIFAR residual networks of depth 6n+2.

272,474 parameters at depth 20, 1,730,714 at depth 110 (3 channels, 10 classes).

Source: Jeong, Kim, Shin (2023), https://github.com/alinlab/smoothing-catrs, `archs/`, after
He et al. (2016), https://arxiv.org/abs/1512.03385, section 4.2. Unlike in He et al., a shortcut
that changes shape is a 1x1 convolution with batch normalisation, not a zero-padded identity.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from rszoo.errors import RszooError
from rszoo.networks.normalized import convolve_normalized

# The deepest of He et al.; a depth may come from a bundle, which is anybody's.
_DEEPEST = 1202


class Downsampling(nn.Sequential):
    """A convolution and its normalisation: [B, C, H, W] -> [B, C', H/stride, W/stride]."""

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        conv, norm = self
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        return convolve_normalized(conv, norm, x)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: [B, C, H, W] -> [B, C', H/stride, W/stride]."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.downsample = (
            nn.Identity()
            if c_in == c_out and stride == 1
            else Downsampling(
                nn.Conv2d(c_in, c_out, 1, stride=stride, bias=False), nn.BatchNorm2d(c_out)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(convolve_normalized(self.conv1, self.bn1, x), inplace=True)
        y = convolve_normalized(self.conv2, self.bn2, y)
        return F.relu(y + self.downsample(x), inplace=True)


class CifarResNet(nn.Module):
    """Three stages of basic blocks with 16, 32, 64 channels: [B, C, H, W] -> [B, num_classes]."""

    def __init__(self, channels: int, blocks: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = stage(16, 16, blocks, stride=1)
        self.layer2 = stage(16, 32, blocks, stride=2)
        self.layer3 = stage(32, 64, blocks, stride=2)
        self.fc = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(convolve_normalized(self.conv1, self.bn1, x), inplace=True)
        x = self.layer3(self.layer2(self.layer1(x)))
        # At 32x32 this is the original's 8x8 average pooling; other sizes work as well.
        return self.fc(x.mean((2, 3)))


def stage(c_in: int, c_out: int, blocks: int, *, stride: int) -> nn.Sequential:
    """Return so many blocks, of which the first changes the channels and the size."""
    rest = [BasicBlock(c_out, c_out, 1) for _ in range(blocks - 1)]
    return nn.Sequential(BasicBlock(c_in, c_out, stride), *rest)


def build(*, input_shape: tuple[int, int, int], num_classes: int, depth: int = 110) -> nn.Module:
    """Return a CIFAR ResNet of the given depth, which must be 6n+2, from 8 to 1202."""
    if not 8 <= depth <= _DEEPEST or depth % 6 != 2:
        below = min(max(8, depth - (depth - 2) % 6), _DEEPEST - 6)
        raise RszooError(
            "network 'cifar_resnet' expects a depth of the form 6n+2 (8, 14, 20, ..., "
            f"{_DEEPEST}), got depth={depth!r}; the nearest are {below} and {below + 6}"
        )
    return CifarResNet(input_shape[0], (depth - 2) // 6, num_classes)

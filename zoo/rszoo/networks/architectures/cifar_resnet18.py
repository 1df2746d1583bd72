"""ResNet-18 for images of 32x32 (11,173,962 parameters at 3 channels, 10 classes).

What adversarial training is mostly reported with, such as PART (Zhang et al., 2024,
https://github.com/JiachengZ01/PART, `models/resnet.py`), after He et al. (2016),
https://arxiv.org/abs/1512.03385: the first convolution is 3x3, nothing is pooled before the end.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from rszoo.networks.architectures.cifar_resnet import stage
from rszoo.networks.normalized import convolve_normalized


class CifarResNet18(nn.Module):
    """Four stages of two basic blocks, 64 to 512 channels: [B, C, H, W] -> [B, num_classes]."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = stage(64, 64, 2, stride=1)
        self.layer2 = stage(64, 128, 2, stride=2)
        self.layer3 = stage(128, 256, 2, stride=2)
        self.layer4 = stage(256, 512, 2, stride=2)
        self.fc = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(convolve_normalized(self.conv1, self.bn1, x), inplace=True)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        # At 32x32 this is the original's 4x4 average pooling; other sizes work as well.
        return self.fc(x.mean((2, 3)))


def build(*, input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Return a ResNet-18 for small images; its weights are PyTorch's usual first ones."""
    return CifarResNet18(input_shape[0], num_classes)

"""ResNet-50 as torchvision builds it (25,557,032 parameters at 1000 classes), untrained.

Source: He et al. (2016), https://arxiv.org/abs/1512.03385; the stride lies in the 3x3 convolution
("v1.5").
"""

from torch import nn

from rszoo._torchvision import import_torchvision


def build(*, input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Return a ResNet-50; its first convolution takes as many channels as the images have."""
    network = import_torchvision().models.resnet50(weights=None, num_classes=num_classes)
    if input_shape[0] != 3:
        network.conv1 = nn.Conv2d(
            input_shape[0], 64, kernel_size=7, stride=2, padding=3, bias=False
        )
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    return network

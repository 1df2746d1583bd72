"""ResNet-50 as torchvision builds it (25,557,032 parameters at 1000 classes), untrained.

Source: He et al. (2016), https://arxiv.org/abs/1512.03385; the stride lies in the 3x3 convolution
("v1.5").
"""

from torch import nn

from rszoo._torchvision import import_torchvision
from rszoo.networks.channels import with_channels


def build(*, input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Return a ResNet-50; its first convolution takes as many channels as the images have."""
    network = import_torchvision().models.resnet50(weights=None, num_classes=num_classes)
    return with_channels(network, input_shape[0])

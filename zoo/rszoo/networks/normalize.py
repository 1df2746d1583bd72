"""Per-channel standardisation as the first layer of a network."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from rszoo.networks.statistics import ChannelStatistics


class Normalize(nn.Module):
    """Map images [B, C, H, W] to `(x - mean) / std`, channel by channel.

    The constants follow the module to its device but stay out of the state dict: they belong to
    the data set, and the checkpoints of the original research code do not hold them either.
    """

    stateless: ClassVar[bool] = True

    mean: Tensor
    std: Tensor

    def __init__(self, statistics: ChannelStatistics) -> None:
        super().__init__()
        for name, values in (("mean", statistics.mean), ("std", statistics.std)):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def first_layer(statistics: ChannelStatistics | None) -> nn.Module:
    """Return the layer that standardises by `statistics`; None leaves images as they are."""
    return nn.Identity() if statistics is None else Normalize(statistics)

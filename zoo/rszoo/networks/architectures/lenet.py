"""LeNet as the randomized-smoothing literature uses it for MNIST (431,080 parameters).

Source: Jeong, Kim, Shin (2023), https://github.com/alinlab/smoothing-catrs, `archs/`.
PyTorch's default initialisation, no batch normalisation, no dropout.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rszoo.errors import RszooError
from rszoo.networks.one_channel import convolve


class LeNet(nn.Module):
    """Two 5x5 convolutions with pooling, two linear layers: [B, C, H, W] -> [B, num_classes]."""

    def __init__(self, channels: int, features: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 20, kernel_size=5)
        self.conv2 = nn.Conv2d(20, 50, kernel_size=5)
        self.fc1 = nn.Linear(features, 500)
        self.fc2 = nn.Linear(500, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        # ReLU is monotone, so it commutes with max-pooling exactly; pooling first leaves it a
        # quarter of the elements.
        x = F.relu(_halve(convolve(self.conv1, x)))
        x = F.relu(_halve(self.conv2(x)))
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc2(x)


def _halve(x: Tensor) -> Tensor:
    """Max-pool 2x2, dropping an odd last row or column.

    Maxima of slices give the same values 2.6 times as fast on a CPU (certification of MNIST is a
    fifth faster with them), but their gradient is slow.
    """
    if torch.is_grad_enabled() or x.device.type != "cpu":
        return F.max_pool2d(x, 2)
    rows, columns = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    x = torch.maximum(x[:, :, :rows:2], x[:, :, 1:rows:2])
    return torch.maximum(x[..., :columns:2], x[..., 1:columns:2])


def build(*, input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """Return a LeNet whose first linear layer fits the image size (at least 16x16)."""
    channels, height, width = input_shape
    rows, columns = (((side - 4) // 2 - 4) // 2 for side in (height, width))
    if rows < 1 or columns < 1:
        raise RszooError(
            f"network 'lenet' expects images of at least 16x16 pixels, got {height}x{width}; "
            "choose 'small_cnn' for smaller ones"
        )
    return LeNet(channels, 50 * rows * columns, num_classes)

"""DnCNN, a stack of convolutions that tells the noise of an image (see `rszoo.methods.denoising`).

Zhang, Zuo, Chen, Meng and Zhang (2017), Beyond a Gaussian Denoiser: Residual Learning of Deep CNN
for Image Denoising, https://arxiv.org/abs/1608.03981: 17 layers of 64 channels, which Salman et
al. (2020) put in front of classifiers. The defaults here are for two cores.
"""

from typing import Annotated

from annotated_types import Ge, Le
from torch import Tensor, nn

#: Images, less noisy ones.
GIVES = "images"

_Depth = Annotated[int, Ge(2), Le(100)]
_Width = Annotated[int, Ge(1), Le(1024)]


def build(
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    depth: _Depth = 5,
    width: _Width = 32,
    batch_norm: bool = False,
) -> nn.Module:
    """Return a DnCNN.

    Args:
        depth: convolutions.
        width: channels between them.
        batch_norm: whether all but the first and the last are normalised, as in the paper.
    """
    del num_classes
    return _DnCNN(input_shape[0], depth, width, batch_norm=batch_norm)


class _DnCNN(nn.Module):
    """Maps noisy images `[B, C, H, W]` to what is left of them without their noise."""

    def __init__(self, channels: int, depth: int, width: int, *, batch_norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers.append(nn.Conv2d(width, width, 3, padding=1, bias=not batch_norm))
            layers += [nn.BatchNorm2d(width)] if batch_norm else []
            layers.append(nn.ReLU())
        layers.append(nn.Conv2d(width, channels, 3, padding=1))
        self.noise = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x - self.noise(x)

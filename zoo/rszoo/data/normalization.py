"""The standardisation of images, which is a part of the network. Free of torch."""

from dataclasses import dataclass

__all__ = ["Normalization"]


@dataclass(frozen=True)
class Normalization:
    """Per-channel mean and standard deviation, in pixel units with images in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

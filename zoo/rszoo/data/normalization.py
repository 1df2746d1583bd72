"""The standardisation of images, which is a part of the network. Free of torch."""

import math
from dataclasses import dataclass

__all__ = ["Normalization"]


@dataclass(frozen=True)
class Normalization:
    """Per-channel mean and standard deviation, in pixel units with images in [0, 1].

    Raises:
        ValueError: there is not one of each per channel, a number is not finite, or a standard
            deviation is not positive.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what an image cannot be divided by."""
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError(
                "expected as many means as standard deviations, got "
                f"{len(self.mean)} and {len(self.std)}"
            )
        if not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std) <= 0:
            raise ValueError(
                f"expected finite means and standard deviations above 0, got {self.mean} and "
                f"{self.std}"
            )

"""What a network needs to know of a data set to standardise its images."""

from collections.abc import Sequence
from typing import Protocol

__all__ = ["ChannelStatistics"]


class ChannelStatistics(Protocol):
    """Anything with one mean and one standard deviation per channel, in pixel units."""

    @property
    def mean(self) -> Sequence[float]: ...
    @property
    def std(self) -> Sequence[float]: ...

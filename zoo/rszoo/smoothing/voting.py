"""What votes: a smoothed network, as those see it who ask for its votes alone."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from rszoo.smoothing.noise import Stream
from rszoo.smoothing.scheme import Scheme

__all__ = ["OnDraws", "Voting"]

#: Called with the number of new draws as they are done; or None.
OnDraws = Callable[[int], None] | None


class Voting(Protocol):
    """A smoothed network: what votes.

    Attributes:
        applied_sigma: the noise level of its certificates, pixel units.
        scheme: by which noise is drawn.
    """

    scheme: Scheme

    @property
    def applied_sigma(self) -> float: ...

    def with_sigma(self, sigma: float) -> "Voting":
        """Return the same network under other noise."""
        ...

    def votes(
        self, x: Tensor, *, n: int, stream: Stream, seed: int, on_progress: OnDraws = None
    ) -> list[int]:
        """Return how often each class is the answer in n draws for one input."""
        ...

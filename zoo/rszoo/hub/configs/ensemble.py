"""Networks of one noise level whose logits are averaged, and then smoothed as one network."""

from typing import Annotated, Literal

from pydantic import Field

from rszoo.hub.config import SMALLEST_SIGMA, ComposedConfig, Part, Several

__all__ = ["EnsembleConfig"]


class EnsembleConfig(ComposedConfig, frozen=True):
    """Networks that answer together, by the average of their logits.

    Attributes:
        members: smoothed bundles of one noise level.
        sigma: that noise level, in pixel units.
    """

    kind: Literal["ensemble"] = "ensemble"
    members: Annotated[tuple[Part, ...], Several]
    sigma: Annotated[float, Field(ge=SMALLEST_SIGMA, le=100)]

    @property
    def noise(self) -> float | None:
        """The noise level of all members."""
        return self.sigma

    @property
    def parts(self) -> tuple[Part, ...]:
        """The members, in their order."""
        return self.members

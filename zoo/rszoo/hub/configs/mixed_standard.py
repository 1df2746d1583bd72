"""Two networks without noise, an accurate and a robust one, and how the second is weighed."""

from typing import Annotated, Literal

from pydantic import Field

from rszoo.hub.config import ComposedConfig, Part
from rszoo.hub.configs.mixed import FixedConfig, LearnedConfig

__all__ = ["MixedStandardConfig"]


class MixedStandardConfig(ComposedConfig, frozen=True):
    """The parts of a mix without noise, and the weight of the robust one.

    Attributes:
        standard, robust: bundles of kind "standard".
        weight: how much the robust one counts.
    """

    kind: Literal["mixed_standard"] = "mixed_standard"
    standard: Part
    robust: Part
    weight: Annotated[FixedConfig | LearnedConfig, Field(discriminator="kind")]

    @property
    def noise(self) -> float:
        """0: it has no noise."""
        return 0.0

    @property
    def parts(self) -> tuple[Part, ...]:
        """The standard and the robust part."""
        return (self.standard, self.robust)

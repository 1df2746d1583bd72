"""Experts that are asked from the last to the first, until one is sure."""

from typing import Annotated, Literal

from rszoo.hub.config import ComposedConfig, Expert, Part, Several

__all__ = ["CascadeConfig"]


class CascadeConfig(ComposedConfig, frozen=True):
    """Experts in the order of their noise.

    Attributes:
        experts: smoothed bundles, or one at several noise levels, by increasing noise.
    """

    kind: Literal["cascade"] = "cascade"
    experts: Annotated[tuple[Expert, ...], Several]

    @property
    def noise(self) -> float | None:
        """None: each expert has its own."""
        return None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The experts, by increasing noise level."""
        return self.experts

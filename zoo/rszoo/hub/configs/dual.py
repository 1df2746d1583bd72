"""A router over experts (Dual RS)."""

from typing import Annotated, Literal

from rszoo.hub.config import ComposedConfig, Expert, Part, Several

__all__ = ["DualConfig"]


class DualConfig(ComposedConfig, frozen=True):
    """Experts, and the router that picks one of them for an input.

    Attributes:
        experts: smoothed bundles, or one at several noise levels, in the order of the router's
            classes.
        router: a bundle of kind "router" with a class for each expert.
    """

    kind: Literal["dual"] = "dual"
    experts: Annotated[tuple[Expert, ...], Several]
    router: Part

    @property
    def noise(self) -> float | None:
        """None: each expert has its own, and the router another."""
        return None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The experts and the router."""
        return (*self.experts, self.router)

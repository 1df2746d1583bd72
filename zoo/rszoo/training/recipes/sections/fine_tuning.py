"""The section `fine_tuning`: training that goes on from a finished model."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from rszoo.training.recipes.sections.base import Count, ModelSection, TrainedBy

__all__ = ["FineTuningSpec"]


class FineTuningSpec(ModelSection):
    """Training that goes on from a finished model, perhaps under the noise that a router gives.

    Attributes:
        start: id of the bundle whose network it begins with, as `rszoo.load` takes it.
        router: id of a router for that one bundle at several noise levels: each training image has
            the level that the router takes for it. None: the recipe's sigma for all.
        draws: votes of the router per image.
    """

    refusal: ClassVar[str] = "begins anew; remove it"
    task: ClassVar[str | None] = "fine_tuning"

    start: str = Field(min_length=1)
    router: str | None = Field(default=None, min_length=1)
    draws: Count = 100

    @classmethod
    def taken_by(cls, method: str) -> bool:
        """Return whether the method trains a network for images and their own labels."""
        from rszoo import methods

        return methods.trains(method) in ("smoothed", "standard")

    @classmethod
    def needed_by(cls, method: str) -> bool:
        """Return that no method needs it."""
        del method
        return False

    def models(self, sigma: float) -> list[str | TrainedBy]:
        """Return the model to start from, and the router if there is one."""
        del sigma
        return [self.start] if self.router is None else [self.start, self.router]

    def misfits(self, method: str) -> Iterator[tuple[str, str]]:
        """Yield a router for a method that takes one noise level only."""
        from rszoo import methods

        if self.router is not None and not methods.per_image_sigma(method):
            able = [name for name in methods.names() if methods.per_image_sigma(name)]
            yield "router", f"expected one of the methods {able}, got {method!r}"

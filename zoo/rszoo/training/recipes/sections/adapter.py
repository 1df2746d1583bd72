"""The section `adapter`: low-rank changes of a finished network learn, and nothing else does."""

from collections.abc import Iterator
from typing import Annotated, ClassVar

from annotated_types import Le
from pydantic import Field

from rszoo.training.recipes.sections.base import Count, ModelSection, TrainedBy

__all__ = ["AdapterSpec"]


class AdapterSpec(ModelSection):
    """The frozen network, and the low-rank changes of its weights that learn.

    Attributes:
        backbone: a bundle's id, as `rszoo.load` takes it, or the name of a method that trains
            without noise: then it is the bundle of that recipe in the output folder, which is
            trained if need be.
        rank: of the changes.
        alpha: what they are multiplied by, divided by the rank.
    """

    refusal: ClassVar[str] = "trains no classifier for noise, to adapt; remove it"
    task: ClassVar[str | None] = "adaptation"

    backbone: str = Field(min_length=1)
    rank: Annotated[Count, Le(1024)] = 8
    alpha: float = Field(default=16.0, gt=0, le=10_000)

    @classmethod
    def taken_by(cls, method: str) -> bool:
        """Return whether the method trains a network to be smoothed."""
        from rszoo import methods

        return methods.trains(method) == "smoothed"

    @classmethod
    def needed_by(cls, method: str) -> bool:
        """Return that no method needs it."""
        del method
        return False

    def models(self, sigma: float) -> list[str | TrainedBy]:
        """Return the backbone, which need not know noise."""
        from rszoo import methods

        del sigma
        name = self.backbone
        return [TrainedBy(name, 0.0) if name in methods.names() else name]

    def misfits(self, method: str) -> Iterator[tuple[str, str]]:
        """Yield a backbone that is a method for something else."""
        from rszoo import methods

        del method
        name = self.backbone
        if name in methods.names() and methods.trains(name) != "standard":
            yield "backbone", f"expected a bundle or a method without noise, got {name!r}"

"""The section `parts`: the two models that a mixing network weighs."""

import shlex
from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import Field

from rszoo.training.recipes.sections.base import ModelSection, TrainedBy

__all__ = ["PartsSpec"]


class PartsSpec(ModelSection):
    """The two models that a mixing network weighs.

    Each is a bundle's id, as `rszoo.load` takes it, or the name of a method: then it is the bundle
    of that recipe in the output folder, which is trained if need be.

    Attributes:
        standard: the accurate one, without noise.
        robust: the smoothed one, at the recipe's sigma; another without noise where that is 0.
    """

    refusal: ClassVar[str] = "takes no parts; remove them"
    task: ClassVar[str | None] = "mixing"

    standard: str = Field(min_length=1)
    robust: str = Field(min_length=1)

    @classmethod
    def taken_by(cls, method: str) -> bool:
        """Return whether the method trains the weight of a mix."""
        from rszoo import methods

        return methods.trains(method) == "weight"

    def models(self, sigma: float) -> list[str | TrainedBy]:
        """Return the standard and the robust part."""
        from rszoo import methods

        given = ((self.standard, 0.0), (self.robust, sigma))
        return [
            TrainedBy(name, level) if name in methods.names() else name for name, level in given
        ]

    def misfits(self, method: str) -> Iterator[tuple[str, str]]:
        """Yield the parts that are methods for something else."""
        from rszoo import methods

        beside = "standard" if methods.without_noise(method) else "smoothed"
        wanted = (("standard", self.standard, "standard"), ("robust", self.robust, beside))
        for key, name, kind in wanted:
            if name in methods.names() and methods.trains(name) != kind:
                yield key, f"expected a bundle or a method for one, got {name!r}"

    def next_step(self, method: str, path: str, models: Sequence[str]) -> str:
        """Return how the mix is made of its parts and the new weight."""
        from rszoo import methods

        standard, robust = models
        command = "mixed-standard" if methods.without_noise(method) else "mixed"
        parts = ("--standard", standard, "--robust", robust, "--weight", path)
        return f"compose with: {shlex.join(['rszoo', 'compose', command, *parts])} --out DIR"

"""The section `denoised`: the classifier that a denoiser learns for."""

import shlex
from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import Field

from rszoo.training.recipes.sections.base import ModelSection, TrainedBy

__all__ = ["DenoisedSpec"]


class DenoisedSpec(ModelSection):
    """The classifier that a denoiser learns for.

    Attributes:
        classifier: a bundle's id, as `rszoo.load` takes it, or the name of a method that trains
            without noise: then it is the bundle of that recipe in the output folder, which is
            trained if need be.
    """

    refusal: ClassVar[str] = "takes no classifier to denoise for; remove it"
    task: ClassVar[str | None] = "denoising"

    classifier: str = Field(min_length=1)

    @classmethod
    def taken_by(cls, method: str) -> bool:
        """Return whether the method trains a denoiser."""
        from rszoo import methods

        return methods.trains(method) == "denoiser"

    def models(self, sigma: float) -> list[str | TrainedBy]:
        """Return the classifier, which knows no noise."""
        from rszoo import methods

        del sigma
        name = self.classifier
        return [TrainedBy(name, 0.0) if name in methods.names() else name]

    def misfits(self, method: str) -> Iterator[tuple[str, str]]:
        """Yield a classifier that is a method for something else."""
        from rszoo import methods

        del method
        name = self.classifier
        if name in methods.names() and methods.trains(name) != "standard":
            yield "classifier", f"expected a bundle or a method without noise, got {name!r}"

    def next_step(self, method: str, path: str, models: Sequence[str]) -> str:
        """Return how the denoiser is put in front of its classifier."""
        del method
        (classifier,) = models
        parts = ("--denoiser", path, "--classifier", classifier)
        return f"compose with: {shlex.join(['rszoo', 'compose', 'denoised', *parts])} --out DIR"

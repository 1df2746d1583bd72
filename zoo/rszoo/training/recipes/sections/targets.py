"""The section `targets`: the votes of another network on the training images."""

from typing import ClassVar

from rszoo.training.recipes.sections.base import Count, ModelSection, Sigma, TrainedBy

__all__ = ["TargetsSpec"]


class TargetsSpec(ModelSection):
    """Soft targets made before training: the votes of a Gaussian-trained network.

    A method that learns which images to give up drops those first that have too few of its votes.

    Attributes:
        sigma: noise level at which that network is trained and votes.
        draws: votes per training image.
    """

    refusal: ClassVar[str] = "takes no soft targets; remove them"
    written_as_null: ClassVar[bool] = True  # as in the first recipes

    sigma: Sigma
    draws: Count

    @classmethod
    def taken_by(cls, method: str) -> bool:
        """Return whether the method's loss takes soft targets, or its images may be dropped."""
        from rszoo import methods

        return cls.needed_by(method) or "sampling_weights" in methods.needs(method)

    @classmethod
    def needed_by(cls, method: str) -> bool:
        """Return whether the method's loss takes soft targets."""
        from rszoo import methods

        return "soft_targets" in methods.needs(method)

    def models(self, sigma: float) -> list[str | TrainedBy]:
        """Return the network that votes."""
        del sigma
        return [TrainedBy("gaussian", self.sigma)]

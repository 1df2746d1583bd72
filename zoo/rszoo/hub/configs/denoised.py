"""A denoiser in front of a classifier, smoothed as one network."""

from typing import Annotated, Literal

from pydantic import Field

from rszoo.hub.config import SMALLEST_SIGMA, ComposedConfig, Part

__all__ = ["DenoisedConfig"]


class DenoisedConfig(ComposedConfig, frozen=True):
    """A denoiser, and the classifier that sees what it makes of noisy images.

    Attributes:
        denoiser: a bundle of kind "denoiser".
        classifier: a bundle whose network classifies images.
        sigma: noise level of the denoiser, and of the certificates; pixel units.
    """

    kind: Literal["denoised"] = "denoised"
    denoiser: Part
    classifier: Part
    sigma: Annotated[float, Field(ge=SMALLEST_SIGMA, le=100)]

    @property
    def noise(self) -> float | None:
        """The noise level of the denoiser."""
        return self.sigma

    @property
    def parts(self) -> tuple[Part, ...]:
        """The denoiser and the classifier."""
        return (self.denoiser, self.classifier)

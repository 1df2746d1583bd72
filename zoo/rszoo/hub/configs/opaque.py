"""One network of which rszoo knows an ONNX file and nothing else."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from rszoo.hub.config import SMALLEST_SIGMA, BundleConfig, Part
from rszoo.hub.files import CONFIG, ONNX, RECIPE

__all__ = ["OpaqueConfig"]


class OpaqueConfig(BundleConfig, frozen=True):
    """A network that is an ONNX file, smoothed.

    Attributes:
        sigma: noise level, in pixel units with images in [0, 1].
    """

    required: ClassVar[tuple[str, ...]] = (CONFIG, ONNX, RECIPE)
    identified_by: ClassVar[str] = ONNX

    kind: Literal["opaque"] = "opaque"
    sigma: Annotated[float, Field(ge=SMALLEST_SIGMA, le=100)]

    @property
    def noise(self) -> float | None:
        """The noise level of its certificates."""
        return self.sigma

    @property
    def summary(self) -> str:
        """What the network is: nobody knows more."""
        return "opaque (ONNX)"

    @property
    def made(self) -> str:
        """What the model is made of, to go after "expected ..., got"."""
        return "one whose network is opaque, an ONNX file"

    @property
    def parts(self) -> tuple[Part, ...]:
        """Empty: it is made of no other bundle."""
        return ()

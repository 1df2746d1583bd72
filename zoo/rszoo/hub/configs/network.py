"""One network: what a classifier is made of, or a part of one."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from rszoo.data.normalization import Normalization
from rszoo.hub.config import SMALLEST_SIGMA, BundleConfig, Part
from rszoo.hub.files import CONFIG, RECIPE, WEIGHTS
from rszoo.hub.limits import LONGEST_NAME

if TYPE_CHECKING:
    from rszoo.data import ImageSet

__all__ = ["NetworkConfig"]


class NetworkConfig(BundleConfig, frozen=True):
    """One network.

    Attributes:
        kind: "smoothed": a classifier under one noise level; "router": one whose classes are the
            experts of a dual bundle; "standard": one without noise, which certifies nothing;
            "weight": one that weighs a standard and a smoothed one, for a mix.
        architecture: name of the network and its options.
        normalization: applied inside the network; None for none.
        sigma: noise level, in pixel units with images in [0, 1]; 0 for a standard network, that of
            the smoothed one for a weight.
        trained_precision: in which precision the network was trained; it is stored in float32.
    """

    required: ClassVar[tuple[str, ...]] = (CONFIG, WEIGHTS, RECIPE)
    identified_by: ClassVar[str] = WEIGHTS

    kind: Literal["smoothed", "router", "standard", "weight"] = "smoothed"
    architecture: dict[str, Any]
    normalization: Normalization | None
    sigma: Annotated[float, Field(ge=0, le=100)]
    trained_precision: Literal["float32", "bfloat16"]

    @property
    def noise(self) -> float | None:
        """The noise level; 0 for a standard network."""
        return self.sigma

    @property
    def summary(self) -> str:
        """The name of the network's architecture."""
        return self.architecture["name"]

    @property
    def parts(self) -> tuple[Part, ...]:
        """Empty: it is made of no other bundle."""
        return ()

    @field_validator("architecture")
    @classmethod
    def _has_name(cls, value: dict[str, Any]) -> dict[str, Any]:
        name = value.get("name")
        if not isinstance(name, str) or len(name) > LONGEST_NAME:
            raise ValueError("expected the name of a network")
        return value

    @field_validator("normalization")
    @classmethod
    def _fits_channels(
        cls, value: Normalization | None, info: ValidationInfo
    ) -> Normalization | None:
        channels = info.data.get("input_shape", (0,))[0]
        if value is not None and channels not in (0, len(value.mean)):
            raise ValueError(f"expected a mean and a standard deviation for {channels} channels")
        return value

    @field_validator("sigma")
    @classmethod
    def _fits_kind(cls, value: float, info: ValidationInfo) -> float:
        if (value == 0.0) != (info.data.get("kind") == "standard"):
            raise ValueError("expected 0 for a standard network, and more for any other")
        if 0.0 < value < SMALLEST_SIGMA:
            raise ValueError(f"expected a noise level of at least {SMALLEST_SIGMA:g}")
        return value

    @classmethod
    def of(cls, images: "ImageSet", **values: Any) -> "NetworkConfig":
        """Return the config of a model trained on `images`; `values` are the other fields."""
        return cls(
            input_shape=images.shape,
            normalization=images.normalization,
            class_names=images.class_names,
            **values,
        )

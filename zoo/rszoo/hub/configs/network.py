"""One network: what a classifier is made of, or a part of one."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from rszoo import networks
from rszoo.data.normalization import Normalization
from rszoo.hub.config import SMALLEST_SIGMA, BundleConfig, Part
from rszoo.hub.files import CONFIG, RECIPE, WEIGHTS
from rszoo.hub.limits import LONGEST_NAME

if TYPE_CHECKING:
    from rszoo.data import ImageSet

__all__ = ["LibraryConfig", "NetworkConfig"]

# Whether there is no noise; a weight has the noise level of its mix, which may have none.
_NO_NOISE = {"standard": (True,), "weight": (True, False)}


class LibraryConfig(BaseModel):
    """The package that builds a network, where that is not rszoo.

    Attributes:
        name: on the package index.
        version: the one that the network was made with.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9._+!-]{1,100}$")]

    @classmethod
    def of(cls, network: str) -> "LibraryConfig | None":
        """Return the package of a network, as it is installed; None for one of rszoo's own."""
        package = networks.package_of(network)
        return None if package is None else cls(name=package.name, version=package.version)

    def __str__(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"


class NetworkConfig(BundleConfig, frozen=True):
    """One network.

    Attributes:
        kind: "smoothed": a classifier under one noise level; "router": one whose classes are the
            experts of a dual bundle; "standard": one without noise, which certifies nothing;
            "weight": one that weighs a standard and a robust one, for a mix; "denoiser": one
            that removes noise from images, in front of a classifier.
        architecture: name of the network and its options.
        library: what builds the network; None: rszoo.
        normalization: applied inside the network; None for none.
        sigma: noise level, in pixel units with images in [0, 1]; 0 for a standard network, that of
            the robust part for a weight.
        trained_precision: in which precision the network was trained; it is stored in float32.
    """

    required: ClassVar[tuple[str, ...]] = (CONFIG, WEIGHTS, RECIPE)
    identified_by: ClassVar[str] = WEIGHTS

    kind: Literal["smoothed", "router", "standard", "weight", "denoiser"] = "smoothed"
    architecture: dict[str, Any]
    library: LibraryConfig | None = None
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
    def made(self) -> str:
        """What the model is made of, to go after "expected ..., got"."""
        return "one with a network"

    @property
    def built_by(self) -> str | None:
        """The package that builds the network, and its version; None: rszoo does."""
        return None if self.library is None else str(self.library)

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
        if (value == 0.0) not in _NO_NOISE.get(info.data.get("kind", ""), (False,)):
            raise ValueError("expected 0 for a standard network, and more for any other")
        if 0.0 < value < SMALLEST_SIGMA:
            raise ValueError(f"expected a noise level of at least {SMALLEST_SIGMA:g}")
        return value

    @model_serializer(mode="wrap")
    def _without_no_library(self, values_of: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # So that the bundles of rszoo's own networks are what they were before there were others.
        values = values_of(self)
        if self.library is None:
            values.pop("library", None)  # it may have been left out already
        return values

    @classmethod
    def of(cls, images: "ImageSet", **values: Any) -> "NetworkConfig":
        """Return the config of a model trained on `images`; `values` are the other fields."""
        return cls(
            input_shape=images.shape,
            normalization=images.normalization,
            class_names=images.class_names,
            **values,
        )

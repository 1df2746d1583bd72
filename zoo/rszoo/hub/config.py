"""What a bundle says of itself: `config.json`, read strictly, since bundles are other people's.

`kind` says what the model is, and with it which other fields there are.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from rszoo.data.normalization import Normalization
from rszoo.errors import RszooError
from rszoo.hub.weight_config import WeightConfig

if TYPE_CHECKING:
    from rszoo.data import ImageSet

__all__ = [
    "SMALLEST_SIGMA",
    "BundleConfig",
    "CascadeConfig",
    "DualConfig",
    "Expert",
    "MixedConfig",
    "NetworkConfig",
    "Part",
    "read_config",
]

#: Of noise, in pixel units: far below what matters, and far above what float32 rounds to 0.
SMALLEST_SIGMA = 1e-6

Pixels = Annotated[int, Field(ge=1, le=65536)]


class BundleConfig(BaseModel):
    """What every kind of bundle says.

    Attributes:
        format: version of this layout.
        name: of the bundle; of a trained one `<data set>-<method>-<sigma>`.
        method: how it was made.
        dataset: name or path of the data set, as given in training.
        input_shape: channels, height, width.
        class_names: one per class.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format: Literal[1] = 1
    name: str
    method: str
    dataset: str
    input_shape: tuple[Pixels, Pixels, Pixels]
    class_names: Annotated[tuple[str, ...], Field(min_length=2)]

    @property
    def noise(self) -> float | None:
        """The noise level; None where there are several."""
        return None

    @property
    def alpha_mix(self) -> float | None:
        """The least weight of the smoothed part of a mix; None where there is no such thing."""
        return None

    @property
    def summary(self) -> str:
        """The network's name, or how many there are."""
        return f"{len(self.parts)} networks"

    @property
    def parts(self) -> "tuple[Part, ...]":
        """The bundles that this one is made of."""
        return ()

    @field_validator("name")
    @classmethod
    def _names_a_file(cls, value: str) -> str:
        # Logs and folders are named after it, and it may come from anybody.
        if not 0 < len(value) <= 200 or value[0] in ".~" or re.search(r"[/\\\x00-\x1f]", value):
            raise ValueError("expected a name that a file can have")
        return value

    def to_json(self) -> str:
        """Return the text of `config.json`."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"


class NetworkConfig(BundleConfig):
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

    kind: Literal["smoothed", "router", "standard", "weight"] = "smoothed"
    architecture: dict[str, Any]
    normalization: Normalization | None
    sigma: Annotated[float, Field(ge=0, le=100)]
    trained_precision: Literal["float32", "bfloat16"]

    @property
    def noise(self) -> float | None:
        """The noise level."""
        return self.sigma

    @property
    def summary(self) -> str:
        """The network's name."""
        return self.architecture["name"]

    @field_validator("architecture")
    @classmethod
    def _has_name(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(value.get("name"), str):
            raise ValueError("expected the name of a network")
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


class Part(BaseModel):
    """A bundle that another one is made of.

    Attributes:
        id: `builtin/NAME`, `org/name@commit`, or a path relative to the folder that the bundle
            lies in.
        digest: its `Bundle.weights_digest`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(min_length=1, max_length=1000)]
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    @property
    def shown(self) -> str:
        """The part as text: its id, and what is special of its use."""
        return self.id


class Expert(Part):
    """A part that answers under a noise level, its own or another.

    Attributes:
        sigma: the noise level, where one network serves at several; None: that of the bundle.
    """

    sigma: Annotated[float, Field(ge=SMALLEST_SIGMA, le=100)] | None = None

    @property
    def shown(self) -> str:
        """The id, and the noise level where it is another than its own."""
        return self.id if self.sigma is None else f"{self.id} at sigma {self.sigma:g}"

    @model_serializer(mode="wrap")
    def _without_its_own(self, values_of: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # So that bundles of before keep their digests, and an older rszoo can read new ones.
        return {key: value for key, value in values_of(self).items() if value is not None}


class CascadeConfig(BundleConfig):
    """Experts that are asked from the last to the first, until one is sure.

    Attributes:
        experts: smoothed bundles, or one at several noise levels, by increasing noise.
    """

    kind: Literal["cascade"] = "cascade"
    experts: Annotated[tuple[Expert, ...], Field(min_length=2)]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The experts."""
        return self.experts


class DualConfig(BundleConfig):
    """A router over experts (Dual RS).

    Attributes:
        experts: smoothed bundles, or one at several noise levels, in the order of the router's
            classes.
        router: a bundle of kind "router" with a class for each expert.
    """

    kind: Literal["dual"] = "dual"
    experts: Annotated[tuple[Expert, ...], Field(min_length=2)]
    router: Part

    @property
    def parts(self) -> tuple[Part, ...]:
        """The experts and the router."""
        return (*self.experts, self.router)


class MixedConfig(BundleConfig):
    """A standard network and a smoothed one (mixing classifiers).

    Attributes:
        standard: a bundle of kind "standard".
        robust: a smoothed bundle.
        sigma: its noise level.
        weight: how much it counts.
    """

    kind: Literal["mixed"] = "mixed"
    standard: Part
    robust: Part
    sigma: Annotated[float, Field(gt=0, le=100)]
    weight: WeightConfig

    @property
    def noise(self) -> float | None:
        """The noise level of the robust part."""
        return self.sigma

    @property
    def alpha_mix(self) -> float | None:
        """The least weight of the robust part; None where it has no bound above 1/2."""
        return self.weight.alpha_min

    @property
    def parts(self) -> tuple[Part, ...]:
        """The standard and the robust part."""
        return (self.standard, self.robust)


_Kind = NetworkConfig | CascadeConfig | DualConfig | MixedConfig
_KINDS: TypeAdapter[_Kind] = TypeAdapter(Annotated[_Kind, Field(discriminator="kind")])


def read_config(path: Path) -> BundleConfig:
    """Read `config.json`.

    Raises:
        RszooError: it is not a bundle's config.
    """
    try:
        return _KINDS.validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        loc = first["loc"][1:] if len(first["loc"]) > 1 else first["loc"]  # without the kind
        key = ".".join(map(str, loc)) or "the file"
        raise RszooError(
            f"{path}: expected a bundle's config, got {key}: {first['msg']}; the bundle may "
            "come from a newer rszoo"
        ) from error

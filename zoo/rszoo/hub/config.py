"""What every bundle says of itself in `config.json`; `configs/` has what each kind adds."""

import json
import math
import re
from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from rszoo.hub.files import CONFIG
from rszoo.hub.limits import (
    LONGEST_CLASS_NAME,
    LONGEST_NAME,
    LONGEST_TEXT,
    MOST_CLASSES,
    MOST_PARTS,
    MOST_VALUES,
)

__all__ = ["SMALLEST_SIGMA", "BundleConfig", "ComposedConfig", "Expert", "Part", "Several"]

#: Of noise, in pixel units: far below what matters, and far above what float32 rounds to 0.
SMALLEST_SIGMA = 1e-6

Pixels = Annotated[int, Field(ge=1, le=65536)]
ClassName = Annotated[str, Field(max_length=LONGEST_CLASS_NAME)]

#: Of the parts that have one role: two or more of them.
Several = Field(min_length=2, max_length=MOST_PARTS)


class BundleConfig(BaseModel, ABC, extra="forbid", frozen=True, allow_inf_nan=False):
    """The configuration common to all kinds of bundle, read strictly: bundles are other people's.

    Attributes:
        format: version of this layout.
        name: of the bundle; of a trained one `<data set>-<method>-<sigma>`.
        method: how it was made.
        dataset: name or path of the data set, as given in training.
        input_shape: channels, height, width.
        class_names: one per class.
        kind: what the model is, and with it which other fields there are.
        required: files that such a bundle has to hold.
        identified_by: the file whose digest stands for the bundle.
    """

    required: ClassVar[tuple[str, ...]]
    identified_by: ClassVar[str]

    format: Literal[1] = 1
    name: str
    method: Annotated[str, Field(max_length=LONGEST_NAME)]
    dataset: Annotated[str, Field(max_length=LONGEST_TEXT)]
    input_shape: tuple[Pixels, Pixels, Pixels]
    class_names: Annotated[tuple[ClassName, ...], Field(min_length=2, max_length=MOST_CLASSES)]
    kind: str

    @property
    @abstractmethod
    def noise(self) -> float | None:
        """The noise level, 0 for none; None where there are several."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """The network's name, or how many there are."""

    @property
    @abstractmethod
    def made(self) -> str:
        """What the model is made of, to go after "expected ..., got"."""

    @property
    def built_by(self) -> str | None:
        """The package that builds the network, and its version; None: rszoo does."""
        return None

    @property
    @abstractmethod
    def parts(self) -> "tuple[Part, ...]":
        """The bundles that this one is made of."""

    @field_validator("name")
    @classmethod
    def _names_a_file(cls, value: str) -> str:
        # Logs and folders are named after it, and it may come from anybody.
        if (
            not 0 < len(value) <= LONGEST_NAME
            or value[0] in ".~"
            or re.search(r"[/\\\x00-\x1f]", value)
        ):
            raise ValueError("expected a name that a file can have")
        return value

    @field_validator("input_shape")
    @classmethod
    def _fits_memory(cls, value: tuple[int, int, int]) -> tuple[int, int, int]:
        if math.prod(value) > MOST_VALUES:
            raise ValueError(f"expected at most {MOST_VALUES:,} values, got {math.prod(value):,}")
        return value

    def to_json(self) -> str:
        """Return the text of `config.json`."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"


class ComposedConfig(BundleConfig, frozen=True):
    """The configuration of a bundle made of others, which it names and does not hold."""

    required: ClassVar[tuple[str, ...]] = (CONFIG,)
    identified_by: ClassVar[str] = CONFIG

    @property
    def made(self) -> str:
        """What the model is made of, to go after "expected ..., got"."""
        return "one made of other bundles"

    @property
    def summary(self) -> str:
        """How many networks there are."""
        return f"{len(self.parts)} networks"


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
    def text(self) -> str:
        """The part as text: its id, and what is special of its use."""
        return self.id


class Expert(Part):
    """A part that answers under a noise level, its own or another.

    Attributes:
        sigma: the noise level, where one network serves at several; None: that of the bundle.
    """

    sigma: Annotated[float, Field(ge=SMALLEST_SIGMA, le=100)] | None = None

    @property
    def text(self) -> str:
        """The id, and the noise level where it is another than its own."""
        return self.id if self.sigma is None else f"{self.id} at sigma {self.sigma:g}"

    @model_serializer(mode="wrap")
    def _without_its_own(self, values_of: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # So that bundles of before keep their digests, and an older rszoo can read new ones.
        return {key: value for key, value in values_of(self).items() if value is not None}

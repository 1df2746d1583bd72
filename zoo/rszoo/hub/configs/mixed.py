"""A standard network and a smoothed one (mixing classifiers), and how the second is weighed."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from rszoo.hub.config import ComposedConfig, Part

__all__ = ["FixedConfig", "GradientConfig", "LearnedConfig", "MixedConfig", "WeightConfig"]

_Certified = Annotated[float, Field(gt=0.5, le=1)]


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FixedConfig(_Config):
    """A weight that is the same everywhere."""

    kind: Literal["fixed"] = "fixed"
    alpha_mix: _Certified

    @property
    def alpha_min(self) -> float:
        """The weight, which is its own least value."""
        return self.alpha_mix


class LearnedConfig(_Config):
    """A weight that a mixing network gives.

    Attributes:
        alpha_min, alpha_max: between which it lies.
        hidden: units of the network.
        weights_sha256: of its weights, `model.safetensors` of the same bundle.
    """

    kind: Literal["learned"] = "learned"
    alpha_min: _Certified
    alpha_max: _Certified
    hidden: Annotated[int, Field(ge=1, le=4096)]
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    @field_validator("alpha_max")
    @classmethod
    def _not_below(cls, value: float, info: ValidationInfo) -> float:
        if value < info.data.get("alpha_min", value):
            raise ValueError("expected at least alpha_min")
        return value


class GradientConfig(_Config):
    """A weight by the steepness of the standard network; it certifies nothing."""

    kind: Literal["gradient"] = "gradient"
    scale: Annotated[float, Field(gt=0)]

    @property
    def alpha_min(self) -> None:
        """None: there is no lower bound above 1/2."""
        return None


WeightConfig = Annotated[FixedConfig | LearnedConfig | GradientConfig, Field(discriminator="kind")]


class MixedConfig(ComposedConfig, frozen=True):
    """The parts of a mix, and the weight of the smoothed one.

    Attributes:
        standard: a bundle of kind "standard".
        robust: a smoothed bundle.
        sigma: its noise level.
        weight: how much it counts, see `rszoo.smoothing.mixing_weights`.
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

"""The sections of a resolved recipe, each checked by itself."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from rszoo.training.recipes.problems import show

__all__ = [
    "CertifySpec",
    "Count",
    "ExpertsSpec",
    "FineTuningSpec",
    "NetworkSpec",
    "PartsSpec",
    "Section",
    "Sigma",
    "SigmaOrNone",
    "TargetsSpec",
    "TrainSpec",
]


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
Sigma = Annotated[float, Field(gt=0, le=100)]
# 0 is for methods without noise, whose bundles must not be named after -0.0.
SigmaOrNone = Annotated[float, Field(ge=0, le=100), AfterValidator(abs)]


class Section(BaseModel):
    """Base of all parts of a recipe: unknown keys and converted types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NetworkSpec(Section):
    """The architecture's name, and its options as further keys."""

    model_config = ConfigDict(extra="allow")

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """The architecture's own options, for `rszoo.networks.build`."""
        return dict(self.model_extra or {})


class TrainSpec(Section):
    """How the network is trained.

    Attributes:
        epochs: passes over the training images.
        batch_size: different images per step, before noise copies are made.
        lr: learning rate; the highest one for "one_cycle".
        momentum: of "sgd"; "adamw" takes its usual betas.
        nesterov: of "sgd".
        schedule: "step" multiplies the rate by 0.1 every `step_epochs`; "one_cycle" raises it
            linearly from 0 during the first `warmup` share of the run, then lowers it to 0.
        augment: "none", "crop_flip" or "resized_crop_flip".
        clip_norm: largest L2 norm of the whole gradient; null for no limit.
    """

    epochs: Count
    batch_size: Count
    optimizer: Literal["sgd", "adamw"]
    lr: float = Field(gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(ge=0)
    schedule: Literal["step", "one_cycle"]
    step_epochs: Count | None = Field(default=None, validate_default=True)
    warmup: float = Field(default=0.2, ge=0, lt=1)
    augment: Literal["none", "crop_flip", "resized_crop_flip"] = "none"
    clip_norm: float | None = Field(default=None, gt=0)

    @field_validator("nesterov")
    @classmethod
    def _nesterov_needs_momentum(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("momentum") == 0:
            raise ValueError("nesterov needs a momentum > 0, got momentum 0")
        return value

    @field_validator("step_epochs")
    @classmethod
    def _step_needs_epochs(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is None and info.data.get("schedule") == "step":
            raise ValueError("schedule 'step' needs an integer >= 1 here, got null")
        return value


class TargetsSpec(Section):
    """Soft targets made before training: the votes of a Gaussian-trained network.

    Attributes:
        sigma: noise level at which that network is trained and votes.
        draws: votes per training image.
    """

    sigma: Sigma
    draws: Count


class ExpertsSpec(Section):
    """The classifiers that a router chooses among: `method` and `sigmas`, or `bundles`.

    Attributes:
        draws: votes of each expert per image, from which its radius follows.
        method: the experts are the bundles of this method's recipe in the output folder, which
            are trained if need be.
        sigmas: their noise levels.
        bundles: the experts' ids, as `rszoo.load` takes them; or one, that serves at `sigmas`.
    """

    draws: Count
    method: str | None = None
    sigmas: list[Sigma] | None = Field(default=None, min_length=2)
    bundles: list[str] | None = Field(default=None, min_length=1, validate_default=True)

    @field_validator("sigmas", "bundles")
    @classmethod
    def _each_once(cls, value: list[object] | None) -> list[object] | None:
        for entry in value or ():
            if value is not None and value.count(entry) > 1:
                raise ValueError(f"expected each expert once, got {show(entry)} more than once")
        return value

    @field_validator("bundles")
    @classmethod
    def _one_of_two_forms(cls, value: list[str] | None, info: ValidationInfo) -> list[str] | None:
        if not {"method", "sigmas"} <= info.data.keys():
            return value  # what is wrong with them is told already
        given = [key for key in ("method", "sigmas") if info.data.get(key) is not None]
        if value is not None and len(value) == 1 and given in ([], ["sigmas"]):
            if not given:
                raise ValueError(f"expected at least 2 entries, or one and sigmas, got {value}")
            return value
        if len(given) != (2 if value is None else 0):
            got = [*given, *(["bundles"] if value is not None else [])]
            raise ValueError(f"expected either method and sigmas, or bundles, got {got}")
        return value


class PartsSpec(Section):
    """The two models that a mixing network weighs.

    Each is a bundle's id, as `rszoo.load` takes it, or the name of a method: then it is the bundle
    of that recipe in the output folder, which is trained if need be.

    Attributes:
        standard: the accurate one, without noise.
        robust: the smoothed one, at the recipe's sigma.
    """

    standard: str = Field(min_length=1)
    robust: str = Field(min_length=1)


class FineTuningSpec(Section):
    """Training that goes on from a finished model, perhaps under the noise that a router gives.

    Attributes:
        start: id of the bundle whose network it begins with, as `rszoo.load` takes it.
        router: id of a router for that one bundle at several noise levels: each training image has
            the level that the router takes for it. None: the recipe's sigma for all.
        draws: votes of the router per image.
    """

    start: str = Field(min_length=1)
    router: str | None = Field(default=None, min_length=1)
    draws: Count = 100


class CertifySpec(Section):
    """How the trained model's certificates are made (see `rszoo.SmoothedClassifier.certify`)."""

    n0: Count
    n: Count
    alpha: float = Field(gt=0, lt=1)

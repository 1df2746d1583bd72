"""The sections of every recipe: the network, how it is trained, how it is certified."""

from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from rszoo.training.recipes.sections.base import Count, Section

__all__ = ["CertifySpec", "NetworkSpec", "TrainSpec"]


class NetworkSpec(Section):
    """The architecture's name, and its options as further keys."""

    model_config = ConfigDict(extra="allow")

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """The architecture's own options, for `rszoo.networks.build`."""
        return dict(self.model_extra or {})


class TrainSpec(Section):
    """The section of a recipe on how the network is trained.

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


class CertifySpec(Section):
    """The section of a recipe on certifying the model, see `rszoo.SmoothedClassifier.certify`."""

    n0: Count
    n: Count
    alpha: float = Field(gt=0, lt=1)

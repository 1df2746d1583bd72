"""What a bundle's manifest says of its training: what it took, and what came of it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rszoo.hub.manifest import Manifest

__all__ = ["Trained", "trained"]


class Trained(BaseModel):
    """The record of a training; nothing of it is checked.

    Attributes:
        seconds: what the epochs took, without the networks that the method builds on.
        hardware: what they ran on.
        processes: how many trained together, each on such hardware.
        noisy_accuracy: share of the test images that are right under one noise draw.
    """

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    seconds: Annotated[float, Field(ge=0)] | None = None
    hardware: Annotated[str, Field(max_length=100)] | None = None
    processes: Annotated[int, Field(ge=1)] = 1
    noisy_accuracy: Annotated[float, Field(ge=0, le=1)] | None = None

    @property
    def where(self) -> str | None:
        """The hardware, and how much of it."""
        if self.hardware is None or self.processes == 1:
            return self.hardware
        return f"{self.processes} x {self.hardware}"


def trained(manifest: Manifest) -> Trained:
    """Return the record of a training; an empty one where there is none that can be read."""
    try:
        return Trained.model_validate(manifest.origin.get("training", {}))
    except ValidationError:
        return Trained()

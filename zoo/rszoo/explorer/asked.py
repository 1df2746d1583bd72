"""What the requests of the page may ask for, and how much."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["MOST_BODY", "MOST_DRAWS", "MOST_SELECTING", "AskedCertificate", "AskedPoint"]

#: Draws of one certificate, and those that select its class.
MOST_DRAWS = 1_000_000
MOST_SELECTING = 10_000

#: Bytes of an uploaded picture.
MOST_BODY = 1 << 25

_Id = Annotated[str, Field(max_length=4096)]
_Alpha = Annotated[float, Field(ge=1e-9, le=0.5)]


class _Asked(BaseModel):
    """What every request names: one of the models, and an image that the server has shown."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    model: _Id
    image: _Id


class AskedCertificate(_Asked):
    """The budget of a certificate, see `rszoo.smoothing.budget.Budget`."""

    n0: Annotated[int, Field(ge=1, le=MOST_SELECTING)]
    n: Annotated[int, Field(ge=1, le=MOST_DRAWS)]
    alpha: _Alpha


class AskedPoint(_Asked):
    """How an image is to be moved.

    Attributes:
        way: in a random direction, along an attack on the bare network, or on the smoothed
            classifier.
        distance: L2, pixel units.
        label: the class that is attacked.
        voter: the network that answers, whose bare network is attacked.
    """

    way: Literal["random", "network", "smoothed"]
    distance: Annotated[float, Field(gt=0.0, le=1000.0)]
    label: Annotated[int, Field(ge=0)]
    voter: _Id

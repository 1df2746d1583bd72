"""Low-rank changes of the weights of another bundle's network, smoothed."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from rszoo.hub.config import SMALLEST_SIGMA, ComposedConfig, Part
from rszoo.hub.files import CONFIG, RECIPE, WEIGHTS

__all__ = ["AdaptedConfig"]


class AdaptedConfig(ComposedConfig, frozen=True):
    """A network of another bundle, and the low-rank changes that this one holds.

    Attributes:
        backbone: a bundle with a network that classifies.
        rank, alpha: of the changes, see `rszoo.networks.low_rank`.
        sigma: noise level that they were trained for, and of the certificates; pixel units.
        weights_sha256: of the changes, `model.safetensors` of this bundle.
    """

    required: ClassVar[tuple[str, ...]] = (CONFIG, WEIGHTS, RECIPE)

    kind: Literal["adapted"] = "adapted"
    backbone: Part
    rank: Annotated[int, Field(ge=1, le=1024)]
    alpha: Annotated[float, Field(gt=0, le=10_000)]
    sigma: Annotated[float, Field(ge=SMALLEST_SIGMA, le=100)]
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    @property
    def noise(self) -> float | None:
        """The noise level of the training."""
        return self.sigma

    @property
    def summary(self) -> str:
        """What is added to the backbone."""
        return f"adapters of rank {self.rank}"

    @property
    def parts(self) -> tuple[Part, ...]:
        """The backbone, and nothing else."""
        return (self.backbone,)

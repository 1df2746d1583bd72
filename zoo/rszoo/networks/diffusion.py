"""One step of a diffusion model, as a denoiser.

Carlini, Tramer, Dvijotham, Rice, Sun and Kolter (2023), (Certified!!) Adversarial Robustness for
Free!, https://arxiv.org/abs/2206.10550: a diffusion model that was trained for images alone takes
Gaussian noise away in one step. The forms of such a step, for several trainings, are those of
Karras et al. (2022), Elucidating the Design Space of Diffusion-Based Generative Models,
https://arxiv.org/abs/2206.00364, section 5. With x the noisy images in [0, 1] and u = 2x - 1,
whose noise is twice that of x,

    (clamp(c_skip u + c_out F(c_in u, time), -1, 1) + 1) / 2.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, Field
from torch import Tensor, nn

__all__ = ["AtTimestep", "OfConsistency", "OneStep", "Scalings", "Step"]

_Noise = Annotated[float, Gt(0), Le(10_000)]


@dataclass(frozen=True, kw_only=True)
class Scalings:
    """What a step multiplies, and the time that the network is told; see above."""

    c_skip: float
    c_out: float
    c_in: float
    time: float


class _Step(BaseModel, extra="forbid", frozen=True, allow_inf_nan=False):
    """What all steps have in common: they are read strictly, as bundles are other people's."""


class AtTimestep(_Step, frozen=True):
    """A step of a model that was trained on sqrt(alpha_bar) u0 + sqrt(1 - alpha_bar) noise.

    Attributes:
        prediction: what the network gives: the noise ("epsilon"), the image ("sample"), or
            sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) image ("v_prediction").
        timestep: index in the schedule, from 0.
        alpha_bar: share of the image in the variance there.
    """

    prediction: Literal["epsilon", "v_prediction", "sample"]
    timestep: Annotated[int, Ge(0), Le(100_000)]
    alpha_bar: Annotated[float, Gt(0), Le(1)]

    @property
    def scalings(self) -> Scalings:
        """Scalings by which the network's answer becomes the image."""
        image, noise = math.sqrt(self.alpha_bar), math.sqrt(1 - self.alpha_bar)
        c_skip, c_out = {
            "epsilon": (1.0, -noise / image),
            "v_prediction": (self.alpha_bar, -noise),
            "sample": (0.0, 1.0),
        }[self.prediction]
        return Scalings(c_skip=c_skip, c_out=c_out, c_in=image, time=float(self.timestep))


class OfConsistency(_Step, frozen=True):
    """The step of a consistency model.

    Song, Dhariwal, Chen and Sutskever (2023), Consistency Models,
    https://arxiv.org/abs/2303.01469, appendix C.

    Attributes:
        prediction: what tells it from other steps.
        sigma: of the noise of u.
        sigma_min: below which the model gives back what it is given.
        sigma_data: standard deviation of the images that it was trained on.
    """

    prediction: Literal["consistency"]
    sigma: _Noise
    sigma_min: _Noise
    sigma_data: _Noise

    @property
    def scalings(self) -> Scalings:
        """Scalings by which the network's answer becomes the image."""
        data, above = self.sigma_data, self.sigma - self.sigma_min
        spread = math.hypot(self.sigma, data)
        return Scalings(
            c_skip=data**2 / (above**2 + data**2),
            c_out=data * above / spread,
            c_in=1 / spread,
            time=250 * math.log(self.sigma),
        )


Step = Annotated[AtTimestep | OfConsistency, Field(discriminator="prediction")]


class OneStep(nn.Module):
    """Maps noisy images `[B, C, H, W]` in [0, 1] to images without their noise.

    Attributes:
        network: given scaled images and times `[B]`, it answers an object whose `sample` has the
            channels of its prediction first, those of a variance perhaps after them.
        scalings: of the step.
    """

    def __init__(self, network: nn.Module, step: AtTimestep | OfConsistency) -> None:
        """Put a step around a network."""
        super().__init__()
        self.network = network
        self.scalings = step.scalings

    def forward(self, x: Tensor) -> Tensor:
        """Return images in [0, 1]."""
        by, u = self.scalings, 2 * x - 1
        times = torch.full((len(x),), by.time, device=x.device)
        answer: Any = self.network(by.c_in * u, times)
        predicted = answer.sample[:, : x.shape[1]]
        return ((by.c_skip * u + by.c_out * predicted).clamp(-1, 1) + 1) / 2

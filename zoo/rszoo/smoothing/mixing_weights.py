"""How much a mix listens to its smoothed part: always alike, by a network, or by a gradient.

A weight is evaluated at the clean input. What it is there decides the answer; what it can be
anywhere decides the certificate, see `rszoo.theory.mixing`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rszoo.errors import RszooError
from rszoo.networks.mixing import MixingNetwork

__all__ = ["FixedWeight", "GradientWeight", "LearnedWeight", "Weight"]

# Images `[B, C, H, W]` -> logits `[B, classes]`.
_Network = Callable[[Tensor], Tensor]


class Weight(Protocol):
    """The weight of the smoothed part of a mix."""

    @property
    def alpha_min(self) -> float | None:
        """A lower bound of the weight, in (1/2, 1]; None where none is known."""
        ...

    @property
    def protocol_entries(self) -> dict[str, object]:
        """Its entries in the protocol of a log, as JSON values."""
        ...

    def evaluate(self, image: Tensor, *, standard: _Network, robust: _Network) -> float:
        """Return the weight at an image `[C, H, W]`, in [0, 1], given both networks."""
        ...


@dataclass(frozen=True)
class FixedWeight:
    """A weight that is the same for every image.

    Attributes:
        alpha_mix: in (1/2, 1].
    """

    alpha_mix: float

    def __post_init__(self) -> None:
        if not 0.5 < self.alpha_mix <= 1.0:
            raise ValueError(f"expected 1/2 < alpha_mix <= 1, got {self.alpha_mix}")

    @property
    def alpha_min(self) -> float:
        """The lower bound of the weight: the weight itself."""
        return self.alpha_mix

    @property
    def protocol_entries(self) -> dict[str, object]:
        """Its entries in the protocol of a log, as JSON values."""
        return {"weight": "fixed"}

    def evaluate(self, image: Tensor, *, standard: _Network, robust: _Network) -> float:
        """Return the weight, whatever the image `[C, H, W]` and the networks."""
        return self.alpha_mix


@dataclass(frozen=True)
class LearnedWeight:
    """A weight that a network answers, between its alpha_min and its alpha_max.

    The network sees the logits of the standard and of the bare robust network at the input.

    Attributes:
        network: on the device of the classifiers.
    """

    network: MixingNetwork

    @property
    def alpha_min(self) -> float:
        """The lower bound that the network is built with, in (1/2, 1]."""
        return self.network.alpha_min

    @property
    def protocol_entries(self) -> dict[str, object]:
        """Its entries in the protocol of a log, as JSON values."""
        return {"weight": "learned", "alpha_max": self.network.alpha_max}

    def evaluate(self, image: Tensor, *, standard: _Network, robust: _Network) -> float:
        """Return the weight at an image `[C, H, W]`, from the logits of both networks there.

        Guarantee:
            The weight is never below alpha_min, whatever the network answers.

        Raises:
            RszooError: the network answers NaN.
        """
        with torch.inference_mode():
            batch = image[None]
            weight = self.network.weight(self.network(standard(batch), robust(batch)).double())
        if weight.isnan().any():
            raise RszooError("expected a weight from the mixing network, got NaN; it is broken")
        return min(max(weight.item(), self.alpha_min), self.network.alpha_max)


@dataclass(frozen=True)
class GradientWeight:
    """a / (1 + a), where a is `scale` times how steep the standard network is. No certificate.

    Locally biased smoothing: Anderson and Sojoudi (2022), Certified Robustness via Locally Biased
    Randomized Smoothing, L4DC, in the form that the code of Bai et al. keeps,
    (g + a h) / (1 + a). Steep is the L2 norm of the gradient of the largest probability of g, per
    pixel unit. Close to the input it may be anything, 0 too, where g alone decides.

    Attributes:
        scale: positive and finite.
    """

    scale: float

    def __post_init__(self) -> None:
        if not 0.0 < self.scale < float("inf"):
            raise ValueError(f"expected a positive finite scale, got {self.scale}")

    @property
    def alpha_min(self) -> None:
        """None: it has no lower bound above 1/2."""
        return None

    @property
    def protocol_entries(self) -> dict[str, object]:
        """Its entries in the protocol of a log, as JSON values."""
        return {"weight": "gradient", "scale": self.scale}

    def evaluate(self, image: Tensor, *, standard: _Network, robust: _Network) -> float:
        """Return the weight at an image `[C, H, W]`, from the gradient of `standard` there."""
        with torch.enable_grad():
            x = image.detach()[None].requires_grad_()
            probabilities = standard(x).softmax(-1)[0]
            # Not `max`, whose gradient is an average where two classes are tied.
            (gradient,) = torch.autograd.grad(probabilities[probabilities.argmax()], x)
        return 1.0 - 1.0 / (1.0 + self.scale * gradient.double().norm().item())

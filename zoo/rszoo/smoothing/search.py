"""The search for the noise level of one input, as Insta-RS makes it at test time. No certificate.

Chen, Kong, Yu, Luque, Goldstein and Huang (2021), Insta-RS, https://arxiv.org/abs/2103.04436, is
withdrawn, and neither its text nor code is public; that there are several starts is all that its
abstract says. This is a reconstruction, whose ascent follows Alfarra et al. (2022), Data Dependent
Randomized Smoothing, https://arxiv.org/abs/2012.04351:

    from each of some sigmas, geometrically spaced, ascend R(s) by a few steps of log s, with the
    same noise for all; take the best R of where they end, on fresh noise
    R(s) = s Phi^-1(max over c of p_c),    p = mean softmax of F(x + s e)

R is what CERTIFY would say if mean probabilities were votes. What the search has drawn is never
used again: to a certificate's draws the sigma is fixed. But another input finds another sigma,
and no radius at x says anything about the sigma at x'; see `rszoo.smoothing.insta`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rszoo.errors import RszooError
from rszoo.networks.execution import autocast, evaluation_mode
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.scheme import Scheme

__all__ = ["Search", "ascended", "searched_sigma"]

# A mean of so few probabilities says nothing of what is beyond; there R grows with s alone.
_LARGEST = 0.999


@dataclass(frozen=True, kw_only=True)
class Search:
    """The range and the effort of the search for a noise level.

    Attributes:
        low, high: the smallest and the largest sigma.
        starts: how many noise levels it starts from, at least 2.
        steps: of the ascent from each; it goes half way to the next start at most.
        draws: noisy inputs for each value of R, at most 1000.
    """

    low: float
    high: float
    starts: int = 5
    steps: int = 3
    draws: int = 100

    def __post_init__(self) -> None:
        if not 0.0 < self.low < self.high < math.inf:
            raise ValueError(f"expected 0 < low < high, got {self.low} and {self.high}")
        if self.starts < 2 or self.steps < 0 or not 1 <= self.draws <= 1000:
            raise ValueError(f"expected starts >= 2, steps >= 0, 1 <= draws <= 1000, got {self}")

    @property
    def protocol_entries(self) -> dict[str, object]:
        """Its entries in the protocol of a log, as JSON values; the starts are its `levels`."""
        return {
            "low": self.low,
            "high": self.high,
            "levels": self.starts,
            "steps": self.steps,
            "draws": self.draws,
        }

    @classmethod
    def around(cls, sigma: float, *, spread: float = 2.0) -> "Search":
        """Return the search in [sigma / spread, sigma spread], where Insta-RS has trained."""
        return cls(low=sigma / spread, high=sigma * spread)


def searched_sigma(
    network: nn.Module,
    image: Tensor,
    *,
    search: Search,
    seed: int,
    precision: str,
    scheme: Scheme,
) -> float:
    """Return the noise level that suits one input.

    Args:
        network: maps `[B, *shape]` to logits.
        image: float32, without a batch axis, on the network's device.
        search: where and how.
        seed: the noise depends on (seed, input) alone.
        precision: "float32" or "bfloat16".
        scheme: by which noise is drawn.

    Raises:
        RszooError: the network gives NaN.
    """
    low, high = math.log(search.low), math.log(search.high)
    # A caller's inference mode would keep the ascent from its gradients.
    with torch.inference_mode(mode=False), torch.enable_grad():
        image = image.clone()
        noise, fresh = (_noise(image, search.draws, seed, scheme, chunk) for chunk in (0, 1))

        def radius(log_sigma: Tensor, noise: Tensor) -> Tensor:
            with evaluation_mode(network), autocast(image.device, precision):
                logits = network(image + log_sigma.exp() * noise)
            share = logits.float().softmax(-1).mean(0).amax()
            return log_sigma.exp() * torch.special.ndtri(share.clamp(max=_LARGEST))

        found: list[tuple[float, float]] = []
        for start in torch.linspace(low, high, search.starts, device=image.device):
            log_sigma = ascended(
                lambda log_sigma: radius(log_sigma, noise),
                start,
                within=(low, high),
                starts=search.starts,
                steps=search.steps,
            )
            with torch.no_grad():
                found.append((radius(log_sigma, fresh).item(), log_sigma.exp().item()))
    if any(math.isnan(value) for value, _ in found):
        raise RszooError("expected logits that are numbers, got NaN; the weights are broken")
    return max(found)[1]


def ascended(
    radius: Callable[[Tensor], Tensor],
    log_sigma: Tensor,
    *,
    within: tuple[float, float],
    starts: int,
    steps: int,
) -> Tensor:
    """Return the logarithms of some sigmas after steps uphill, each by the sign of its gradient.

    Args:
        radius: from the logarithms to what is to grow, one entry for each.
        log_sigma: the logarithms to start from.
        within: the smallest and the largest.
        starts: how many there are between them: all steps together go half way to the next.
        steps: how many.
    """
    low, high = within
    step = (high - low) / max(starts - 1, 1) / (2 * max(steps, 1))
    for _ in range(steps):
        log_sigma.requires_grad_()
        (gradient,) = torch.autograd.grad(radius(log_sigma).sum(), log_sigma)
        log_sigma = (log_sigma.detach() + step * gradient.sign()).clamp(low, high)
    return log_sigma.detach()


def _noise(image: Tensor, draws: int, seed: int, scheme: Scheme, chunk: int) -> Tensor:
    return scheme.chunk(
        image.shape,
        seed=scheme.seed_of(image, seed),
        chunk=Stream.SEARCH + chunk,
        device=image.device,
    )[:draws].clone()  # the rest of the chunk need not be kept

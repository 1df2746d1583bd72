"""The small network that chooses the weight of a mix, input by input.

Bai, Mo, Lee and Sojoudi (2024), Improving the Accuracy-Robustness Trade-Off of Classifiers via
Adaptive Smoothing, https://arxiv.org/abs/2301.12554, take inner features of both classifiers. This
one sees how sure both are and whether they agree, which every pair of networks can tell.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LogMix", "Mix", "MixingNetwork", "log_mix"]

# The largest probabilities of either classifier that it sees.
_SEEN = 3

_TINY = 1e-12


class MixingNetwork(nn.Module):
    """Maps the logits of two classifiers, `[B, classes]` each, to a number in [0, 1], `[B]`.

    0 is the standard classifier's side, 1 the robust one's. Untrained it gives 1/2. It does not
    depend on how the classes are numbered.

    Attributes:
        alpha_min, alpha_max: the weights that 0 and 1 stand for.
    """

    def __init__(
        self, hidden: int = 16, *, alpha_min: float = 0.84, alpha_max: float = 0.99
    ) -> None:
        """Make an untrained network; the range of weights is the paper's.

        Args:
            hidden: units of its one hidden layer.
            alpha_min, alpha_max: 1/2 < alpha_min <= alpha_max <= 1.

        Raises:
            ValueError: the range is out of range.
        """
        super().__init__()
        if not 0.5 < alpha_min <= alpha_max <= 1.0:
            raise ValueError(
                f"expected 1/2 < alpha_min <= alpha_max <= 1, got {alpha_min=}, {alpha_max=}"
            )
        self.alpha_min, self.alpha_max = alpha_min, alpha_max
        self.hidden = nn.Linear(2 * _SEEN + 1, hidden)
        self.out = nn.Linear(hidden, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, standard: Tensor, robust: Tensor) -> Tensor:
        return self.gamma(standard, robust).sigmoid()

    def gamma(self, standard: Tensor, robust: Tensor) -> Tensor:
        """Return the answer before the sigmoid, float32 `[B]`."""
        g, h = standard.float().softmax(-1), robust.float().softmax(-1)
        agreement = (g * h).sum(-1, keepdim=True)
        features = torch.cat([_largest(g), _largest(h), agreement], dim=-1)
        return self.out(F.relu(self.hidden(features))).squeeze(-1).float()

    def weight(self, share: Tensor) -> Tensor:
        """Return the weights that answers in [0, 1] stand for."""
        return self.alpha_min + (self.alpha_max - self.alpha_min) * share


class Mix(nn.Sequential):
    """A mixing network beside the two classifiers that it weighs, for its training.

    Its modules, parameters and state are those of the mixing network alone.

    Attributes:
        standard, robust: the classifiers; they stay in eval mode and frozen.
    """

    def __init__(self, weighing: nn.Sequential, standard: nn.Module, robust: nn.Module) -> None:
        """Put a mixing network, as `rszoo.networks.build` returns it, beside two classifiers."""
        super().__init__(*weighing)
        # In a tuple, where torch does not look for modules: they are neither trained nor stored.
        self._parts = tuple(part.eval().requires_grad_(False) for part in (standard, robust))

    @property
    def standard(self) -> nn.Module:
        """The standard classifier, in eval mode and frozen."""
        return self._parts[0]

    @property
    def robust(self) -> nn.Module:
        """The robust classifier, in eval mode and frozen."""
        return self._parts[1]

    @property
    def weighing(self) -> MixingNetwork:
        """The mixing network, which is what is trained."""
        network = self[1]
        assert isinstance(network, MixingNetwork)
        return network

    def forward(self, input: Tensor) -> Tensor:
        """Map images to log-probabilities of a mix, the robust network's in place of votes."""
        return self.weighed(input)[1]

    def weighed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return gamma `[B]`, and the log-probabilities of the mix `[B, classes]`, of images."""
        return _weighed(self.weighing, self.standard(x), self.robust(x))


class LogMix(nn.Module):
    """The log of a mix of two networks without noise, as one network.

    Attributes:
        standard, robust: map images `[B, C, H, W]` in [0, 1] to logits `[B, classes]`.
        weighing: how much the robust one counts; a range of one number is a weight that is the
            same everywhere.
    """

    stateless: ClassVar[bool] = True

    def __init__(self, standard: nn.Module, robust: nn.Module, weighing: MixingNetwork) -> None:
        super().__init__()
        self.standard, self.robust, self.weighing = standard, robust, weighing

    def forward(self, x: Tensor) -> Tensor:
        """Return log((1 - w) g + w h), float32 `[B, classes]`, with the gradient of w as well."""
        return _weighed(self.weighing, self.standard(x), self.robust(x))[1]


def _weighed(weighing: MixingNetwork, standard: Tensor, robust: Tensor) -> tuple[Tensor, Tensor]:
    """Return gamma and the log-probabilities of the mix, float32, of logits `[B, classes]`."""
    g, h = standard.float(), robust.float()
    gamma = weighing.gamma(g, h)
    weight = weighing.weight(gamma.sigmoid())
    return gamma, log_mix(g.log_softmax(-1), h.log_softmax(-1), weight)


def log_mix(log_g: Tensor, log_h: Tensor, weight: Tensor) -> Tensor:
    """Return log((1 - weight) g + weight h), `[B, classes]`, for weights `[B]`."""
    weight = weight.unsqueeze(-1)
    # At a weight of 1 the logarithm has no gradient.
    return torch.logaddexp((1 - weight).clamp(min=_TINY).log() + log_g, weight.log() + log_h)


def _largest(probabilities: Tensor) -> Tensor:
    """Return the largest probabilities in order; zeros where there are too few classes."""
    count = min(_SEEN, probabilities.shape[-1])
    return F.pad(probabilities.topk(count, dim=-1).values, (0, _SEEN - count))

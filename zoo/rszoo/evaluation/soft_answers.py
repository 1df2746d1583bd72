"""What an attack climbs: answers of classifiers that have a gradient.

A smoothed classifier counts votes, which have none. In their place stands the mean prediction of
the network on some noisy copies (SmoothAdv; Salman et al., 2019, section 2.2), the same noise for
all images and steps of one attack. In a mix it stands for the smoothed part, so that the attack
goes through the standard part and the weight as well. Experts that take turns are averaged by how
likely it is their turn: by the router's mean prediction, or, in a cascade, by how far the largest
mean prediction of each expert is above the half that it would have to be sure of.
"""

import math
from collections.abc import Sequence
from functools import singledispatch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rszoo.errors import RszooError
from rszoo.networks.mixing import log_mix
from rszoo.networks.opaque import is_opaque
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.dual import DualClassifier
from rszoo.smoothing.experts import ExpertsClassifier
from rszoo.smoothing.interface import Classifier
from rszoo.smoothing.mixed import MixedClassifier
from rszoo.smoothing.mixing_weights import FixedWeight, LearnedWeight, Weight
from rszoo.smoothing.noise import gaussian_copies

__all__ = ["soft_answers", "soft_parts", "without_noise"]

# Of a cascade: by how much more than half an expert is nearly sure to answer.
_SOFTNESS = 0.1


@singledispatch
def soft_answers(classifier: Classifier, draws: int) -> nn.Module:
    """Return a network from images `[B, C, H, W]` to log-probabilities `[B, classes]`, to attack.

    Its noise is drawn now, from torch's global generator.

    Args:
        classifier: that is attacked.
        draws: noisy copies of each image.

    Raises:
        RszooError: there is none for this kind of classifier, or a network has no gradient.
    """
    raise RszooError(f"no attack goes through a {type(classifier).__name__}; attack its parts")


@soft_answers.register
def _of_smoothed(classifier: SmoothedClassifier, draws: int) -> nn.Module:
    assert classifier.input_shape is not None  # a bundle has one
    one = torch.zeros(1, *classifier.input_shape, device=classifier.device)
    return _SoftVotes(
        _with_gradient(classifier.base), gaussian_copies(one, draws, classifier.sigma)
    )


@soft_answers.register
def _of_mixed(classifier: MixedClassifier, draws: int) -> nn.Module:
    _with_gradient(classifier.standard)
    return _SoftMix(classifier, soft_answers(classifier.robust, draws))


@soft_answers.register
def _of_dual(classifier: DualClassifier, draws: int) -> nn.Module:
    experts = [soft_answers(expert, draws) for expert in classifier.experts]
    return _SoftDual(experts, soft_answers(classifier.router, draws))


@soft_answers.register
def _of_cascade(classifier: CascadeClassifier, draws: int) -> nn.Module:
    return _SoftCascade([soft_answers(expert, draws) for expert in classifier.experts])


@singledispatch
def soft_parts(classifier: Classifier, draws: int) -> list[nn.Module]:
    """Return all that an attack may climb: the whole, or each of the experts that take turns.

    Args and errors are those of `soft_answers`.
    """
    return [soft_answers(classifier, draws)]


@soft_parts.register
def _of_experts(classifier: ExpertsClassifier, draws: int) -> list[nn.Module]:
    return [soft_answers(expert, draws) for expert in classifier.experts]


def without_noise(network: nn.Module) -> nn.Module:
    """Return the log-probabilities of a network that is used without noise, to attack.

    Raises:
        RszooError: it has no gradient.
    """
    return _LogProbabilities(_with_gradient(network))


def _with_gradient(network: nn.Module) -> nn.Module:
    if is_opaque(network):
        raise RszooError(
            "expected a network with gradients to attack, got an opaque one (ONNX); attack the "
            "network that it was exported from"
        )
    return network


@singledispatch
def _shares(weight: Weight, standard: Tensor, robust: Tensor) -> Tensor:
    """Return the weights `[B]` of the logits `[B, classes]` of both networks, with a gradient."""
    raise RszooError(
        f"no attack goes through a {type(weight).__name__}, which logits alone do not tell; "
        "attack a mix with a fixed or a learned weight"
    )


@_shares.register
def _of_fixed(weight: FixedWeight, standard: Tensor, robust: Tensor) -> Tensor:
    return torch.full_like(standard[:, 0], weight.alpha_mix)


@_shares.register
def _of_learned(weight: LearnedWeight, standard: Tensor, robust: Tensor) -> Tensor:
    return weight.network.weight(weight.network(standard, robust))


class _LogProbabilities(nn.Module):
    """The log-probabilities of a network that is used without noise."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x).float().log_softmax(-1)


class _SoftVotes(nn.Module):
    """The log of the mean prediction under fixed noise, `[draws, 1, C, H, W]`."""

    def __init__(self, network: nn.Module, noise: Tensor) -> None:
        super().__init__()
        self.network, self.noise = network, noise

    def forward(self, x: Tensor) -> Tensor:
        logits = self.network((x + self.noise).flatten(0, 1)).float()
        log_probabilities = logits.log_softmax(-1).unflatten(0, (len(self.noise), -1))
        return log_probabilities.logsumexp(0) - math.log(len(self.noise))


class _SoftDual(nn.Module):
    """The log of the experts' mean predictions, averaged by that of the router."""

    def __init__(self, experts: Sequence[nn.Module], router: nn.Module) -> None:
        super().__init__()
        self.experts, self.router = nn.ModuleList(experts), router

    def forward(self, x: Tensor) -> Tensor:
        answers = torch.stack([expert(x) for expert in self.experts], 1)  # [B, experts, classes]
        return (self.router(x).unsqueeze(-1) + answers).logsumexp(1)


class _SoftCascade(nn.Module):
    """The log of the experts' mean predictions, averaged by how sure those before are not."""

    def __init__(self, experts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.experts = nn.ModuleList(experts)  # by increasing noise

    def forward(self, x: Tensor) -> Tensor:
        first, *noisier = (expert(x) for expert in self.experts)
        for answers in noisier:  # the last of them is asked first
            margin = (answers.exp().amax(1, keepdim=True) - 0.5) / _SOFTNESS
            sure, unsure = F.logsigmoid(margin), F.logsigmoid(-margin)
            first = torch.logaddexp(sure + answers, unsure + first)
        return first


class _SoftMix(nn.Module):
    """The log of a mix whose smoothed part gives its mean prediction."""

    def __init__(self, classifier: MixedClassifier, robust: nn.Module) -> None:
        super().__init__()
        self.standard, self.bare = classifier.standard, classifier.robust.base
        self.robust, self.weight = robust, classifier.weight

    def forward(self, x: Tensor) -> Tensor:
        standard = self.standard(x).float()
        shares = _shares(self.weight, standard, self.bare(x).float())
        return log_mix(standard.log_softmax(-1), self.robust(x), shares)

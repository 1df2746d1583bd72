"""Insta-RS Train: a noise level for each training image. A reconstruction, not the original.

Chen, Kong, Yu, Luque, Goldstein and Huang (2021), Insta-RS: Instance-wise Randomized Smoothing
for Improved Robustness and Accuracy, https://arxiv.org/abs/2103.04436, is withdrawn, and neither
its text nor code is public. Its abstract says: two stages, with a noise level per training image
that is adapted. The rest is ours; the ascent follows Alfarra et al. (2022), Data Dependent
Randomized Smoothing, https://arxiv.org/abs/2012.04351:

    stage 1, until `start`: noise level sigma for every image
    stage 2: the noise level s of each image is renewed `refreshes` times, half way towards
             argmax_s R(s) over [sigma / spread, sigma spread],
             R(s) = (s / 2) (Phi^-1(p_y) - Phi^-1(max over c != y of p_c)),   p = mean softmax
    loss:    (1/m) sum_i CE(F_i, y) + lambda (1/m) sum_i KL(Fbar || F_i) + eta H(Fbar)
             F_i = F(x + s e_i)

The search starts from several noise levels, geometrically spaced, and moves each at most half way
to its neighbour; the noise e is the same for all. An image without a positive R gets
sigma / spread.

A noise level that depends on the input is no certificate by itself: certify the trained network
at one noise level, or as `rszoo.smoothing.insta` says.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rszoo.methods._attacks import frozen
from rszoo.methods._copies import noisy_log_probs, noisy_logits
from rszoo.methods._weights import Copies, NonNegative, Ratio, Several, Share, Steps
from rszoo.methods.consistency import regularised_cross_entropy
from rszoo.smoothing.noise import gaussian_copies
from rszoo.smoothing.search import ascended

# Where p leaves these bounds, R grows with s alone; beyond, the quantile is not to be trusted.
_SMALLEST, _LARGEST = 0.02, 0.98

#: The loss is the same at any `progress`.
STEADY = True


def loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    sigmas: Tensor,
    *,
    sigma: float,
    progress: float,
    m: Copies = 2,
    lambda_: NonNegative = 0.0,
    eta: NonNegative = 0.0,
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`.

    Args:
        sigmas: noise level of each image, `[B]`.
        m: noise copies per image.
        lambda_: weight of the divergence between copies.
        eta: weight of the entropy of the mean prediction.
    """
    del sigma, progress
    log_probs = noisy_log_probs(model, x, gaussian_copies(x, m, sigmas))
    return regularised_cross_entropy(log_probs, y, lambda_=lambda_, eta=eta)


def refresh(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    sigmas: Tensor,
    *,
    sigma: float,
    first: bool,
    start: Share = 0.4,
    refreshes: Copies = 9,
    spread: Ratio = 2.0,
    levels: Several = 5,
    search_steps: Steps = 5,
    search_copies: Copies = 16,
) -> Tensor:
    """Return the new noise level of each image, `[B]`.

    Args:
        sigmas: the noise levels of before.
        start: share of the training that is stage 1.
        refreshes: how many times the noise levels are renewed.
        spread: noise levels are searched in [sigma / spread, sigma spread].
        levels: how many noise levels the search starts from.
        search_steps: gradient steps from each start.
        search_copies: noise copies per image in the search.
    """
    del first, start, refreshes
    low, high = math.log(sigma / spread), math.log(sigma * spread)
    noise = gaussian_copies(x, search_copies, 1.0)
    best = torch.full_like(sigmas, sigma / spread)
    largest = torch.zeros_like(sigmas)
    with frozen(model) as attacked:
        for start_log_sigma in torch.linspace(low, high, levels).tolist():
            log_sigma = ascended(
                lambda log_sigma: _soft_radius(attacked, x, y, noise, log_sigma.exp()),
                torch.full_like(sigmas, start_log_sigma),
                within=(low, high),
                starts=levels,
                steps=search_steps,
            )
            with torch.no_grad():
                radius = _soft_radius(attacked, x, y, noise, log_sigma.exp())
            best = torch.where(radius > largest, log_sigma.exp(), best)
            largest = torch.maximum(radius, largest)
    return (sigmas + best) / 2


def _soft_radius(model: nn.Module, x: Tensor, y: Tensor, noise: Tensor, sigmas: Tensor) -> Tensor:
    """Return R(s) of each image, `[B]`."""
    p = F.softmax(noisy_logits(model, x, noise * _per_image(sigmas, x)), dim=-1).mean(0)
    labelled = F.one_hot(y, p.shape[1]).bool()
    right = p[labelled].clamp(_SMALLEST, _LARGEST)
    wrong = p.masked_fill(labelled, 0.0).amax(1).clamp(_SMALLEST, _LARGEST)
    return sigmas / 2 * (torch.special.ndtri(right) - torch.special.ndtri(wrong))


def _per_image(values: Tensor, x: Tensor) -> Tensor:
    return values.view(-1, *[1] * (x.ndim - 1))

"""Consistency regularisation: noisy copies of an image should get the same prediction.

Jeong and Shin (2020), Consistency Regularization for Certified Robustness of Smoothed
Classifiers, https://arxiv.org/abs/2006.04062, equations 6 and 7.

    (1/m) sum_i CE(F_i, y) + lambda (1/m) sum_i KL(Fbar || F_i) + eta H(Fbar)
    F_i = F(x + e_i),   Fbar = (1/m) sum_i F_i

Fbar is not detached. It is computed in the log domain, log Fbar = logsumexp_i log F_i - log m:
with log(F.clamp(...)) the gradient is wrong, with log(F) it is not finite, as soon as an entry of
the softmax underflows.
"""

import math

import torch
from torch import Tensor, nn

from rszoo.methods._copies import cross_entropy, noisy_log_probs
from rszoo.methods._weights import Copies, NonNegative
from rszoo.smoothing.noise import gaussian_copies


def loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    progress: float,
    m: Copies = 2,
    lambda_: NonNegative = 10.0,
    eta: NonNegative = 0.5,
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`.

    Args:
        m: noise copies per image.
        lambda_: weight of the divergence between copies.
        eta: weight of the entropy of the mean prediction.
    """
    del progress
    log_probs = noisy_log_probs(model, x, gaussian_copies(x, m, sigma))
    log_mean = torch.logsumexp(log_probs, dim=0) - math.log(m)
    mean = log_mean.exp()
    divergence = (mean * (log_mean - log_probs)).sum(-1).mean(0)
    entropy = -(mean * log_mean).sum(-1)
    classification = cross_entropy(log_probs, y).mean(0)
    return (classification + lambda_ * divergence + eta * entropy).mean()

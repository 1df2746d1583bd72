"""Consistency regularisation: noisy copies of an image should get the same prediction.

Jeong and Shin (2020), Consistency Regularization for Certified Robustness of Smoothed
Classifiers, https://arxiv.org/abs/2006.04062, equations 6 and 7.

    (1/m) sum_i CE(F_i, y) + lambda (1/m) sum_i KL(Fbar || F_i) + eta H(Fbar)
    F_i = F(x + e_i),   Fbar = (1/m) sum_i F_i

Fbar is not detached.
"""

from torch import Tensor, nn

from rszoo.methods._copies import cross_entropy, log_mean, noisy_log_probs
from rszoo.methods._weights import Copies, NonNegative
from rszoo.smoothing.noise import gaussian_copies

#: `sigma` may be a noise level for each image.
PER_IMAGE_SIGMA = True

#: The loss is the same at any `progress`.
STEADY = True


def loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float | Tensor,
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
    return regularised_cross_entropy(log_probs, y, lambda_=lambda_, eta=eta)


def regularised_cross_entropy(
    log_probs: Tensor, y: Tensor, *, lambda_: float, eta: float
) -> Tensor:
    """Return the formula above, averaged over the batch.

    Args:
        log_probs: log F_i, `[m, B, classes]`.
        y: labels `[B]`.
        lambda_, eta: as in `loss`.
    """
    classification = cross_entropy(log_probs, y).mean(0)
    return (classification + inconsistency(log_probs, lambda_=lambda_, eta=eta)).mean()


def inconsistency(log_probs: Tensor, *, lambda_: float, eta: float) -> Tensor:
    """Return the second and third term of the formula for every image, `[B]`.

    Args:
        log_probs: log F_i, `[m, B, classes]`.
        lambda_, eta: as in `loss`.
    """
    log_fbar = log_mean(log_probs)
    fbar = log_fbar.exp()
    divergence = (fbar * (log_fbar - log_probs)).sum(-1).mean(0)
    entropy = -(fbar * log_fbar).sum(-1)
    return lambda_ * divergence + eta * entropy

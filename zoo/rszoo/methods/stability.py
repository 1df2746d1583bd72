"""Stability training: the clean prediction is the soft target of the noisy one.

Li, Chen, Wang and Carin (2019), Certified Adversarial Robustness with Additive Noise,
https://arxiv.org/abs/1809.03113, as implemented by Jeong and Shin (2020),
https://github.com/jh-jeong/smoothing-consistency.

    CE(F(x), y) + lambda H(F(x), F(x + e)),   H(p, q) = -sum_c p_c log q_c

The target is not detached, so that H also rewards certain clean predictions. Classification is on
clean images alone: under much noise nothing forces right answers. The clean and the noisy images
are two forward passes, as in the authors' code: batch statistics see half and half.
"""

from torch import Tensor, nn

from rszoo.methods._copies import cross_entropy, noisy_log_probs
from rszoo.methods._weights import NonNegative
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
    lambda_: NonNegative = 2.0,
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`.

    Args:
        lambda_: weight of the agreement between clean and noisy prediction.
    """
    del progress
    clean = noisy_log_probs(model, x, x.new_zeros((1, *x.shape)))
    noisy = noisy_log_probs(model, x, gaussian_copies(x, 1, sigma))
    agreement = -(clean.exp() * noisy).sum(-1)
    return (cross_entropy(clean, y) + lambda_ * agreement).mean()

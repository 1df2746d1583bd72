"""Gaussian augmentation: cross-entropy on one noisy copy of each image.

Cohen, Rosenfeld and Kolter (2019), Certified Adversarial Robustness via Randomized Smoothing,
https://arxiv.org/abs/1902.02918, section 3.3.

    E CE(F(x + e), y),   e ~ N(0, sigma^2 I)
"""

from torch import Tensor, nn

from rszoo.methods._copies import cross_entropy, noisy_log_probs
from rszoo.smoothing.noise import gaussian_copies

#: `sigma` may be a noise level for each image.
PER_IMAGE_SIGMA = True

#: The loss is the same at any `progress`.
STEADY = True


def loss(
    model: nn.Module, x: Tensor, y: Tensor, *, sigma: float | Tensor, progress: float
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`."""
    del progress
    return cross_entropy(noisy_log_probs(model, x, gaussian_copies(x, 1, sigma)), y).mean()

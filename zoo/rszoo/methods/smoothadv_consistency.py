"""SmoothAdv + Consistency: consistency regularisation on adversarial images.

Jeong and Shin (2020), https://arxiv.org/abs/2006.04062, section 4: the images are moved by
SmoothAdv first, then the loss of `consistency` is taken on noisy copies of them, with the noise
of the attack. The authors average the attack's objective over the batch, add 1e-8 to its
gradient's norm, and project before they clip; we attack exactly as `smoothadv` does.
"""

from torch import Tensor, nn

from rszoo.methods._attacks import warmed_up
from rszoo.methods._copies import noisy_log_probs
from rszoo.methods._weights import Copies, NonNegative, Positive, Share, Steps
from rszoo.methods.consistency import regularised_cross_entropy
from rszoo.methods.smoothadv import adversarial_images
from rszoo.smoothing.noise import gaussian_copies

__all__ = ["loss", "phase"]

phase = warmed_up


def loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    progress: float,
    m: Copies = 4,
    lambda_: NonNegative = 1.0,
    eta: NonNegative = 0.5,
    attack_steps: Steps = 10,
    epsilon: Positive = 1.0,
    warmup: Share = 0.1,
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`.

    Args:
        m: noise copies per image.
        lambda_: weight of the divergence between copies.
        eta: weight of the entropy of the mean prediction.
        attack_steps: gradient steps of the attack.
        epsilon: L2 radius of the attack, in pixel units.
        warmup: share of the training in which the radius rises linearly from 0.
    """
    noise = gaussian_copies(x, m, sigma)
    radius = epsilon * warmed_up(progress, warmup)
    moved = adversarial_images(model, x, y, noise, steps=attack_steps, radius=radius)
    log_probs = noisy_log_probs(model, moved, noise)
    return regularised_cross_entropy(log_probs, y, lambda_=lambda_, eta=eta)

"""CAT-RS: confidence-aware training.

Jeong, Kim and Shin (2023), Confidence-aware Training of Smoothed Classifiers for Certified
Robustness, https://arxiv.org/abs/2212.09000, equations 8 to 11.

Images that the smoothed network is unsure of learn only from their easier noise copies; images it
is sure of (all copies count, K = m) learn from the worst noise nearby:

    K ~ max(1, Bin(m, phat)),   phat = share of the copies that are classified right
    L_low  = (1/m) sum of the K smallest CE(F(x + e_i), y)
    L_high = 1{K = m} max_i KL(yhat || F(x + e*_i)),   e* from a noise ascent
    loss   = L_low + lambda L_high

yhat are the vote shares of a Gaussian-trained network on the training image. As in the authors'
code the sum in L_low is divided by m, not by K. We differ from that code in one point: yhat comes
from the un-augmented image, not from one random crop of it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rszoo.methods._attacks import ascend_noise, frozen
from rszoo.methods._copies import cross_entropy, noisy_log_probs
from rszoo.methods._weights import Copies, NonNegative, Positive, Steps
from rszoo.smoothing.noise import gaussian_copies

#: The loss is the same at any `progress`.
STEADY = True


def loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    soft_targets: Tensor,
    *,
    sigma: float,
    progress: float,
    m: Copies = 4,
    lambda_: NonNegative = 1.0,
    attack_steps: Steps = 4,
    rho: Positive = 1.0,
    confidence_mask: bool = False,
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`.

    Args:
        soft_targets: yhat, `[B, classes]`, rows that sum to 1.
        m: noise copies per image.
        lambda_: weight of the worst-noise term.
        attack_steps: gradient steps of the noise ascent.
        rho: L2 radius of the noise ascent, in pixel units.
        confidence_mask: take phat from `soft_targets` rather than from the copies (ImageNet).
    """
    del progress
    noise = gaussian_copies(x, m, sigma)
    log_probs = noisy_log_probs(model, x, noise)
    if confidence_mask:
        confidence = soft_targets.gather(1, y.unsqueeze(1)).squeeze(1)
    else:
        confidence = (log_probs.argmax(-1) == y).float().mean(0)
    copies = torch.full_like(confidence, m)
    k = torch.binomial(copies, confidence).clamp(min=1)  # [B]

    easiest = cross_entropy(log_probs, y).sort(dim=0).values  # [m, B]
    rank = torch.arange(m, device=x.device).unsqueeze(1)
    low = torch.where(rank < k, easiest, 0.0).sum(0) / m
    if lambda_ == 0.0:
        return low.mean()

    def divergence(model: nn.Module, noise: Tensor) -> Tensor:  # [m, B]
        log_probs = noisy_log_probs(model, x, noise)
        return F.kl_div(log_probs, soft_targets.expand_as(log_probs), reduction="none").sum(-1)

    with frozen(model) as attacked:
        worst = ascend_noise(
            lambda e: divergence(attacked, e).sum() / m, noise, steps=attack_steps, rho=rho
        )
    high = (k == m) * divergence(model, worst).amax(0)
    return (low + lambda_ * high).mean()

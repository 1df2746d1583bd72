"""SmoothMix: between an image and a far adversarial one, predictions should fade to uniform.

Jeong, Park, Kim, Lee, Kim and Shin (2021), SmoothMix: Training Confidence-calibrated Smoothed
Classifiers for Certified Robustness, https://arxiv.org/abs/2111.09277, section 3, and the authors'
code, https://github.com/jh-jeong/smoothmix.

    x0 = x after mix_step attack steps (x itself for 0),   a = x after all attack steps
    xm = (1 - u) x0 + u a,   ym = (1 - u) P + u / C,   u ~ U(0, 1/2) for each image
    P  = (1/m) sum_i F(x0 + e_i), not detached
    (1/m) sum_i CE(F(x0 + e_i), y) + eta w (1/m) sum_i 1{argmax P = y} KL(ym || F(xm + e_i))

The attack raises -log of the mean prediction of y by steps of fixed length, without a ball, in
[0, 1]. The weight w rises linearly to 1 during the warm-up, and so does the ball of radius
step_size * mix_step that x0 is brought back to; the authors raise them once per epoch, we once
per step. All of it shares one noise; the two terms are two forward passes. The gradient of each
image is brought to the length of a step as it is; theirs has 1e-8 added to its norm first, which
shortens the step of a confident image.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from rszoo.methods._attacks import ascend_images, frozen, project, warmed_up
from rszoo.methods._copies import cross_entropy, log_mean, noisy_log_probs
from rszoo.methods._weights import Copies, NonNegative, Positive, Share, Steps
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
    eta: NonNegative = 5.0,
    attack_steps: Steps = 4,
    step_size: Positive = 1.0,
    mix_step: Literal[0, 1] = 0,
    warmup: Share = 0.1,
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`.

    Args:
        m: noise copies per image.
        eta: weight of the mixed images.
        attack_steps: gradient steps of the attack.
        step_size: L2 length of a step, in pixel units.
        mix_step: after how many of the steps x0 is taken.
        warmup: share of the training in which w rises linearly from 0.
    """
    noise = gaussian_copies(x, m, sigma)
    warm = warmed_up(progress, warmup)
    first = min(mix_step, attack_steps)
    with frozen(model) as attacked:

        def mistake(points: Tensor) -> Tensor:
            return -log_mean(noisy_log_probs(attacked, points, noise)).gather(1, y[:, None]).sum()

        near = ascend_images(mistake, x, steps=first, step_size=step_size)
        far = ascend_images(mistake, near, steps=attack_steps - first, step_size=step_size)
    near = (x + project(near - x, warm * step_size * first)).clamp(0.0, 1.0)

    log_probs = noisy_log_probs(model, near, noise)
    classification = cross_entropy(log_probs, y).mean()
    if eta == 0.0:
        return classification
    log_p = log_mean(log_probs)
    u = torch.rand(len(x), device=x.device) / 2
    log_target = torch.logaddexp(
        log_p + (1 - u).log().unsqueeze(1), (u / log_p.shape[1]).log().unsqueeze(1)
    )
    share = u.view(-1, *[1] * (x.ndim - 1))
    mixed = noisy_log_probs(model, (1 - share) * near + share * far, noise)
    divergence = (log_target.exp() * (log_target - mixed)).sum(-1).mean(0)
    right = log_p.argmax(1) == y
    return classification + eta * warm * (right * divergence).mean()

"""Hard-sample dropping: give up on images that cannot be certified, attack the noise of the rest.

Sun, Mao, Mueller and Vechev (2025), Average Certified Radius is a Poor Metric for Randomized
Smoothing, https://arxiv.org/abs/2410.06895, and the authors' code,
https://github.com/eth-sri/acr-weakness. They built it to show that the ACR rewards this; it is
here for the same purpose: a high ACR from it says little about hard images.

    until `start`:  (1/m) sum_i CE(F(x + e_i), y)
    at `start`:     drop every image with pA < threshold, from `drop_draws` votes each
    from then on:   (1/m) sum_i CE(F(x + e*_i), y),   e* from a noise ascent on the sphere of e_i,
                    which ends at the first misclassification
    `refreshes` times, the first at `start`: images are drawn with replacement, in proportion to
                    Phi^-1(lower bound of pA) from `draws` votes, pA clipped to [0.75, 1]

A recipe may have images dropped before the training instead, by the votes of another network (its
section `targets`), as the authors do on ImageNet, where they renew nothing (`refreshes` 0). The
gradient of each copy is brought to the length of a step as it is. Theirs is divided by m and has
1e-8 added to its norm first, which shortens the step of a confident copy.
"""

import math

import torch
from torch import Tensor, nn

from rszoo.methods._attacks import ascend_noise_on_sphere, frozen
from rszoo.methods._copies import cross_entropy, noisy_log_probs, noisy_logits
from rszoo.methods._weights import Copies, Positive, Probability, Share, Steps, Votes
from rszoo.smoothing.noise import gaussian_copies
from rszoo.theory.bounds import clopper_pearson_lower
from rszoo.theory.radii import certified_radius

_LEVEL = 0.1
_SURE_ENOUGH = 0.75


def loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    progress: float,
    m: Copies = 4,
    start: Share = 0.4,
    attack_steps: Steps = 6,
    step_size: Positive = 0.25,
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`.

    Args:
        m: noise copies per image.
        start: share of the training, from its start, that is Gaussian augmentation.
        attack_steps: gradient steps of the noise ascent.
        step_size: L2 length of a step, in pixel units.
    """
    noise = gaussian_copies(x, m, sigma)
    if not phase(progress, start=start):
        return cross_entropy(noisy_log_probs(model, x, noise), y).mean()

    with frozen(model) as attacked:

        def mistake(noise: Tensor) -> Tensor:
            log_probs = noisy_log_probs(attacked, x, noise)
            right = log_probs.detach().argmax(-1) == y
            return (right * cross_entropy(log_probs, y)).sum()

        noise = ascend_noise_on_sphere(mistake, noise, steps=attack_steps, step_size=step_size)
    return cross_entropy(noisy_log_probs(model, x, noise), y).mean()


def phase(progress: float, *, start: float) -> bool:
    """Return whether noise is attacked by now."""
    return progress > start


def refresh(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    sampling_weights: Tensor,
    *,
    sigma: float,
    first: bool,
    start: Share = 0.4,
    refreshes: Steps = 9,
    threshold: Probability = 0.4,
    drop_draws: Copies = 100,
    draws: Votes = 16,
) -> Tensor:
    """Return how often each image is drawn from now on, `[B]`; 0 for dropped ones.

    Args:
        sampling_weights: those of before: what is dropped stays dropped.
        refreshes: how many times the weights are renewed; 0 keeps those of the start.
        threshold: images whose class gets a smaller share of the votes are dropped.
        drop_draws: votes per image for dropping.
        draws: votes per image for the weights, so many that an image that is kept has one.
    """
    del start, refreshes
    kept = sampling_weights > 0
    if first:
        kept &= _right_votes(model, x, y, sigma, drop_draws) / drop_draws >= threshold
    right = _right_votes(model, x, y, sigma, draws).clamp(min=math.floor(_SURE_ENOUGH * draws))
    table = [
        certified_radius(clopper_pearson_lower(votes, draws, _LEVEL), 1.0)
        for votes in range(draws + 1)
    ]
    return torch.where(kept, x.new_tensor(table)[right], 0.0)


@torch.no_grad()
def _right_votes(model: nn.Module, x: Tensor, y: Tensor, sigma: float, draws: int) -> Tensor:
    """Return how many of so many noisy copies are classified right, int64 `[B]`."""
    votes = torch.zeros_like(y)
    with frozen(model) as attacked:
        for _ in range(draws):
            votes += noisy_logits(attacked, x, gaussian_copies(x, 1, sigma))[0].argmax(-1) == y
    return votes

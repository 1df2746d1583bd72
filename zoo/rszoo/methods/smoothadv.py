"""SmoothAdv: cross-entropy on noisy copies of adversarial images of the smoothed network.

Salman, Yang, Li, Zhang, Zhang, Razenshteyn and Bubeck (2019), Provably Robust Deep Learning via
Adversarially Trained Smoothed Classifiers, https://arxiv.org/abs/1906.04584, section 2.2.

    (1/m) sum_i CE(F(x* + e_i), y)
    x* = argmax over ||x* - x||_2 <= epsilon of -log (1/m) sum_i F_y(x* + e_i)

The attack and the loss share the noise. The attack raises the log of the mean prediction, the
loss is the mean of the logs, and trains on all m copies (the authors' flag --train-multi-noise).
We differ from the authors' code where a gradient is exactly zero: they step in a random
direction, we do not step. Their warm-up rises once per epoch, ours once per step.
"""

from typing import Literal

from torch import Tensor, nn

from rszoo.methods._attacks import ascend_images, descend_to_boundary, frozen, warmed_up
from rszoo.methods._copies import cross_entropy, log_mean, noisy_log_probs
from rszoo.methods._weights import Copies, Positive, Share, Steps
from rszoo.smoothing.noise import gaussian_copies

__all__ = ["adversarial_images", "loss", "phase"]

phase = warmed_up


def loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    progress: float,
    m: Copies = 4,
    attack: Literal["pgd", "ddn"] = "pgd",
    attack_steps: Steps = 10,
    epsilon: Positive = 1.0,
    warmup: Share = 0.1,
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`.

    Args:
        m: noise copies per image.
        attack: "pgd", projected gradient ascent, or "ddn", decoupled direction and norm.
        attack_steps: gradient steps of the attack.
        epsilon: L2 radius of the attack, in pixel units.
        warmup: share of the training in which the radius rises linearly from 0.
    """
    noise = gaussian_copies(x, m, sigma)
    radius = epsilon * warmed_up(progress, warmup)
    moved = adversarial_images(
        model, x, y, noise, attack=attack, steps=attack_steps, radius=radius
    )
    return cross_entropy(noisy_log_probs(model, moved, noise), y).mean()


def adversarial_images(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    noise: Tensor,
    *,
    steps: int,
    radius: float,
    attack: str = "pgd",
) -> Tensor:
    """Return x*, in [0, 1] and within the ball, for given noise `[m, B, C, H, W]`."""
    index = y.unsqueeze(1)

    with frozen(model) as attacked:

        def mistake(points: Tensor) -> tuple[Tensor, Tensor]:
            log_probs = noisy_log_probs(attacked, points, noise)
            majority = log_probs.detach().argmax(-1).mode(0).values
            return -log_mean(log_probs).gather(1, index).sum(), majority != y

        if attack == "ddn":
            return descend_to_boundary(mistake, x, steps=steps, radius=radius)
        step_size = 2 * radius / max(steps, 1)
        return ascend_images(
            lambda points: mistake(points)[0], x, steps=steps, step_size=step_size, radius=radius
        )

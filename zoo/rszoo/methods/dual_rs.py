"""Dual RS: a router that learns from the radii of its experts which of them serves an image best.

Sun, Mao and Vechev (2026), Dual Randomized Smoothing, https://arxiv.org/abs/2512.01782. The
network's classes are the K experts; R_k is the radius that expert k certifies for the image:

    t    = softmax(R / temperature)
    loss = mean over images of  w [ (1/m) sum_i CE(F_i, t) + lambda (1/m) sum_i KL(Fbar || F_i)
                                    + eta H(Fbar) ]
    F_i  = F(x + e_i),   Fbar = (1/m) sum_i F_i

w balances the experts: 1 over the share of the images that the image's best expert serves best,
0 for an image that no expert certifies. Theirs has a further factor of the second and third term,
made of radii; its formula is not in the sources that we have, and it is 1 here. Nor is the
temperature theirs (1): it is for networks and images whose radii lie close together.

With attack_steps x is moved first, as SmoothAdv moves it (`rszoo.methods.smoothadv`), to where
the mean prediction is furthest from t: a router has to be sure not at an image, but around it.
"""

from torch import Tensor, nn

from rszoo.methods._attacks import ascend_images, frozen, warmed_up
from rszoo.methods._copies import log_mean, noisy_log_probs
from rszoo.methods._weights import Copies, NonNegative, Positive, Share, Steps
from rszoo.methods.consistency import inconsistency
from rszoo.smoothing.noise import gaussian_copies

#: The classes of the network are the experts.
TRAINS = "router"


def loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    expert_radii: Tensor,
    example_weights: Tensor,
    *,
    sigma: float,
    progress: float,
    m: Copies = 2,
    lambda_: NonNegative = 40.0,
    eta: NonNegative = 0.5,
    temperature: Positive = 1.0,
    attack_steps: Steps = 0,
    epsilon: Positive = 0.5,
    warmup: Share = 0.1,
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]`; the radii say more than the label `y`.

    Args:
        expert_radii: R, `[B, K]`, in pixel units; 0 where the expert is wrong or abstains.
        example_weights: w, `[B]`.
        m: noise copies per image.
        lambda_: weight of the divergence between copies.
        eta: weight of the entropy of the mean prediction.
        temperature: the difference of radii that is a factor of e in the target, in pixel units.
        attack_steps: gradient steps of the attack; 0 trains on the images as they are.
        epsilon: L2 radius of the attack, in pixel units.
        warmup: share of the training in which that radius rises linearly from 0.
    """
    del y
    noise = gaussian_copies(x, m, sigma)
    targets = (expert_radii / temperature).softmax(-1)
    if attack_steps:
        radius = epsilon * warmed_up(progress, warmup)
        x = _attacked(model, x, targets, noise, steps=attack_steps, radius=radius)
    log_probs = noisy_log_probs(model, x, noise)
    classification = -(targets * log_probs).sum(-1).mean(0)
    regularisation = inconsistency(log_probs, lambda_=lambda_, eta=eta)
    return (example_weights * (classification + regularisation)).mean()


def phase(progress: float, *, attack_steps: int, warmup: float) -> float:
    """Return the share of its full radius that the attack has; 1 without one."""
    return warmed_up(progress, warmup) if attack_steps else 1.0


def _attacked(
    model: nn.Module, x: Tensor, targets: Tensor, noise: Tensor, *, steps: int, radius: float
) -> Tensor:
    """Return images whose mean prediction is far from the targets, in [0, 1] and in the ball."""

    with frozen(model) as attacked:

        def mistake(points: Tensor) -> Tensor:
            return -(targets * log_mean(noisy_log_probs(attacked, points, noise))).sum()

        return ascend_images(mistake, x, steps=steps, step_size=2 * radius / steps, radius=radius)

"""The weight of a mix: a small network learns to hand attacked images to the robust classifier.

Bai, Mo, Lee and Sojoudi (2024), Improving the Accuracy-Robustness Trade-Off of Classifiers via
Adaptive Smoothing, https://arxiv.org/abs/2301.12554, section 5. Only the mixing network learns. Of
each image it sees a clean and an attacked copy, on which the standard (s = 0) and the robust
classifier (s = 1) is the better choice:

    loss = mean of  bce BCE(gamma, s) + bce_ce BCE(gamma, s) CE((1 - w) g + w h, y)

gamma is the network's answer before the sigmoid, w the weight that follows, g the standard
network's probabilities and h the mean prediction of the robust one on noise copies, which stands
for its votes. The attack raises the CE, through the mixing network too. Theirs is AutoPGD for
L-infinity; ours is that of SmoothAdv for L2, at radii that are spread as theirs are. Without noise
anywhere, and for L-infinity, it is `rszoo.methods.mixing_standard`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from rszoo.methods._attacks import ascend_images, frozen
from rszoo.methods._copies import log_mean, noisy_log_probs
from rszoo.methods._weights import Copies, NonNegative, Positive, Steps
from rszoo.networks.mixing import Mix, log_mix
from rszoo.smoothing.noise import gaussian_copies

__all__ = ["loss", "loss_of_choices", "spread"]

#: The model is a `rszoo.networks.mixing.Mix`.
TRAINS = "weight"

#: The loss is the same at any `progress`.
STEADY = True


def loss(
    model: Mix,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    progress: float,
    m: Copies = 2,
    attack_steps: Steps = 10,
    epsilon: Positive = 1.0,
    bce: NonNegative = 1.5,
    bce_ce: NonNegative = 0.3,
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`.

    Args:
        sigma: noise level of the robust classifier.
        m: noise copies per image.
        attack_steps: gradient steps of the attack.
        epsilon: L2 radius of the attack, in pixel units; each batch's is 0.4 to 1.1 times that.
        bce: weight of the choice.
        bce_ce: weight of the choice where the mix is wrong.
    """
    del progress
    noise = gaussian_copies(x, m, sigma)
    radius = spread(epsilon, x.device)
    with frozen(model):
        attacked = ascend_images(
            lambda points: _answers(model, points, y, noise)[1].sum(),
            x,
            steps=attack_steps,
            step_size=2 * radius / max(attack_steps, 1),
            radius=radius,
        )
    both = (_answers(model, points, y, noise) for points in (x, attacked))
    return loss_of_choices(*both, bce=bce, bce_ce=bce_ce)


def spread(epsilon: float, device: torch.device) -> Tensor:
    """Return the size of a batch's attack: 0.4 to 1.1 times `epsilon`, drawn evenly."""
    # In float64, as a number would be; on the device, which is not waited for.
    return epsilon * (0.4 + 0.7 * torch.rand((), device=device).double())


def loss_of_choices(
    clean: tuple[Tensor, Tensor], attacked: tuple[Tensor, Tensor], *, bce: float, bce_ce: float
) -> Tensor:
    """Return the scalar loss of choosing the standard side if clean and the robust if attacked.

    Args:
        clean, attacked: gamma, and the cross-entropy of the mix, `[B]` each.
        bce, bce_ce: see `loss`.
    """
    losses = []
    for (gamma, mistake), side in ((clean, 0.0), (attacked, 1.0)):
        choice = F.binary_cross_entropy_with_logits(
            gamma, torch.full_like(gamma, side), reduction="none"
        )
        losses.append(choice * (bce + bce_ce * mistake))
    return torch.cat(losses).mean()


def _answers(model: Mix, x: Tensor, y: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Return gamma and the cross-entropy of the mix, float32 `[B]` each."""
    standard = model.standard(x).float()
    gamma = model.weighing.gamma(standard, model.robust(x))
    weight = model.weighing.weight(gamma.sigmoid())
    log_h = log_mean(noisy_log_probs(model.robust, x, noise))
    mixed = log_mix(standard.log_softmax(-1), log_h, weight)
    return gamma, F.nll_loss(mixed, y, reduction="none")

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
"""

from torch import Tensor, nn

from rszoo.methods._copies import noisy_log_probs
from rszoo.methods._weights import Copies, NonNegative, Positive
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
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]`; the radii say more than the label `y`.

    Args:
        expert_radii: R, `[B, K]`, in pixel units; 0 where the expert is wrong or abstains.
        example_weights: w, `[B]`.
        m: noise copies per image.
        lambda_: weight of the divergence between copies.
        eta: weight of the entropy of the mean prediction.
        temperature: the difference of radii that is a factor of e in the target, in pixel units.
    """
    del y, progress
    log_probs = noisy_log_probs(model, x, gaussian_copies(x, m, sigma))
    targets = (expert_radii / temperature).softmax(-1)
    classification = -(targets * log_probs).sum(-1).mean(0)
    regularisation = inconsistency(log_probs, lambda_=lambda_, eta=eta)
    return (example_weights * (classification + regularisation)).mean()

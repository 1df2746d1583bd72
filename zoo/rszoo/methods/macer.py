"""MACER: raise the certified radius itself, where it is not large already.

Zhai, Dan, He, Zhang, Gong, Ravikumar, Hsieh and Wang (2020), MACER: Attack-free and Scalable
Robust Training via Maximizing Certified Radius, https://arxiv.org/abs/2001.02378, section 4.

    -log p_y + lambda (sigma / 2) sum over G of (gamma - xi) / B
    p  = (1/m) sum_i softmax(z_i),   q = (1/m) sum_i softmax(beta z_i)
    xi = Phi^-1(q_1) - Phi^-1(q_2)   of the two largest entries of q
    G  = images with argmax q = y, xi finite and xi <= gamma

B is the size of the batch, not of G. Images outside G are masked before the quantiles are
differentiated, so that their infinite gradients never meet the others. We take -log p_y in the
log domain, where the authors add 1e-10.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rszoo.methods._copies import log_mean, noisy_logits
from rszoo.methods._weights import Copies, NonNegative, Positive, Share
from rszoo.smoothing.noise import gaussian_copies


def loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    progress: float,
    m: Copies = 16,
    lambda_: NonNegative = 12.0,
    beta: Positive = 16.0,
    gamma: Positive = 8.0,
    deferred: Share = 0.0,
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`.

    Args:
        m: noise copies per image.
        lambda_: weight of the radius.
        beta: inverse temperature of the softmax in the radius.
        gamma: images with a larger xi are left alone.
        deferred: share of the training, from its start, that goes without the radius.
    """
    logits = noisy_logits(model, x, gaussian_copies(x, m, sigma))
    log_p = log_mean(F.log_softmax(logits, dim=-1))
    classification = -log_p.gather(1, y.unsqueeze(1)).mean()
    if lambda_ == 0.0 or not phase(progress, deferred=deferred):
        return classification
    missing = _missing_margin(F.softmax(beta * logits, dim=-1).mean(0), y, gamma)
    return classification + lambda_ * sigma / 2 * missing.sum() / len(x)


def phase(progress: float, *, deferred: float) -> bool:
    """Return whether the loss has the radius by now."""
    return progress > deferred


def _missing_margin(q: Tensor, y: Tensor, gamma: float) -> Tensor:
    """Return gamma - xi for the images of G, 0 for the others, `[B]`."""
    (first, second), (top, _) = (part.unbind(-1) for part in q.topk(2))
    with torch.no_grad():
        xi = torch.special.ndtri(first) - torch.special.ndtri(second)
        chosen = (top == y) & xi.isfinite() & (xi <= gamma)
    safe = [torch.where(chosen, p, 0.5) for p in (first, second)]
    xi = torch.special.ndtri(safe[0]) - torch.special.ndtri(safe[1])
    return torch.where(chosen, gamma - xi, 0.0)

"""Several noise copies of each image, run as one batch, and what is made of predictions."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["cross_entropy", "divergence", "log_mean", "noisy_log_probs", "noisy_logits"]


def noisy_logits(model: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
    """Return the logits of x + noise_i for every copy, float32 `[m, B, classes]`.

    Args:
        model: maps images to logits.
        x: images `[B, C, H, W]`.
        noise: `[m, B, C, H, W]`.
    """
    noisy = (x + noise).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    logits = model(noisy).float()  # what is made of them stays in float32 under autocast
    return logits.unflatten(0, noise.shape[:2])


def noisy_log_probs(model: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
    """Return log F(x + noise_i) for every copy, float32 `[m, B, classes]`; see `noisy_logits`."""
    return F.log_softmax(noisy_logits(model, x, noise), dim=-1)


def cross_entropy(log_probs: Tensor, y: Tensor) -> Tensor:
    """Return -log F_y for every copy and image, `[m, B]`.

    Args:
        log_probs: `[m, B, classes]`.
        y: labels `[B]`.
    """
    index = y.expand(log_probs.shape[0], -1).unsqueeze(-1)
    return -log_probs.gather(-1, index).squeeze(-1)


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return KL(p || q) for each row of log-probabilities `[B, classes]`, `[B]`."""
    return (log_p.exp() * (log_p - log_q)).sum(1)


def log_mean(log_probs: Tensor) -> Tensor:
    """Return log((1/m) sum_i F_i), the log of the mean prediction, `[B, classes]`.

    In the log domain: with log(F.clamp(...)) the gradient is wrong, with log(F) it is not finite,
    as soon as an entry of the softmax underflows.

    Args:
        log_probs: log F_i, `[m, B, classes]`.
    """
    return torch.logsumexp(log_probs, dim=0) - math.log(len(log_probs))

"""Several noise copies of each image, run as one batch."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["cross_entropy", "noisy_log_probs"]


def noisy_log_probs(model: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
    """Return log F(x + noise_i) for every copy, float32 `[m, B, classes]`.

    Args:
        model: maps images to logits.
        x: images `[B, C, H, W]`.
        noise: `[m, B, C, H, W]`.
    """
    noisy = (x + noise).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    logits = model(noisy).float()  # log-probabilities stay in float32 under autocast
    return F.log_softmax(logits, dim=-1).unflatten(0, noise.shape[:2])


def cross_entropy(log_probs: Tensor, y: Tensor) -> Tensor:
    """Return -log F_y for every copy and image, `[m, B]`.

    Args:
        log_probs: `[m, B, classes]`.
        y: labels `[B]`.
    """
    index = y.expand(log_probs.shape[0], -1).unsqueeze(-1)
    return -log_probs.gather(-1, index).squeeze(-1)

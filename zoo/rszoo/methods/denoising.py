"""A denoiser for a classifier that was trained without noise.

Salman, Sun, Yang, Kapoor and Kolter (2020), Denoised Smoothing: A Provable Defense for Pretrained
Classifiers, https://arxiv.org/abs/2003.01908. With D the denoiser and F the frozen classifier:

    first    MSE(D(x + e), x), of the pixels
    then     CE(F(D(x + e)), argmax F(x)),

their Stab objective: the classifier is to answer to the denoised image what it answers to the
clean one, right or wrong, so that labels are never used. Begun from a denoiser that was trained by
MSE this is what they call Stab+MSE.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from rszoo.methods._weights import Probability
from rszoo.networks.denoised import Denoising
from rszoo.smoothing.noise import gaussian_copies

#: The model is a `rszoo.networks.denoised.Denoising`.
TRAINS = "denoiser"


def loss(
    model: Denoising,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    progress: float,
    mse_share: Probability = 0.5,
) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]`; the labels `y` `[B]` are not used.

    Args:
        mse_share: share of the training by MSE, before that through the classifier.
    """
    del y
    denoised = model.denoised(x + gaussian_copies(x, 1, sigma)[0]).float()
    if not phase(progress, mse_share=mse_share):
        return F.mse_loss(denoised, x)
    with torch.no_grad():
        answers = model.classifier(x).argmax(-1)
    return F.cross_entropy(model.classifier(denoised).float(), answers)


def phase(progress: float, *, mse_share: float) -> bool:
    """Return whether the loss is that of the classifier by now."""
    return progress > mse_share

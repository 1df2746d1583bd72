"""A denoiser in front of a classifier, as one network.

Salman, Sun, Yang, Kapoor and Kolter (2020), Denoised Smoothing: A Provable Defense for Pretrained
Classifiers, https://arxiv.org/abs/2003.01908: a classifier that was trained without noise is
right about noisy images of which most noise was removed. What is smoothed, and certified, is the
composite of both; nothing is assumed of either.
"""

from typing import ClassVar

from torch import Tensor, nn

__all__ = ["BehindDenoiser", "Denoised", "Denoising"]


class Denoised(nn.Module):
    """Classifies what a denoiser makes of images.

    Attributes:
        denoiser: maps noisy images `[B, C, H, W]` to images, pixels about in [0, 1].
        classifier: maps images to logits `[B, classes]`.
    """

    stateless: ClassVar[bool] = True

    def __init__(self, denoiser: nn.Module, classifier: nn.Module) -> None:
        """Put a denoiser in front of a classifier."""
        super().__init__()
        self.denoiser = denoiser
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.denoiser(x))


class Denoising(nn.Sequential):
    """A denoiser in front of a frozen classifier, for its training.

    Its modules, parameters and state are those of the denoiser alone.
    """

    def __init__(self, denoiser: nn.Sequential, classifier: nn.Module) -> None:
        """Put a denoiser, as `rszoo.networks.build` returns it, in front of a classifier."""
        super().__init__(*denoiser)
        # In a tuple, where torch does not look for modules: it is neither trained nor stored.
        self._frozen = (classifier.eval().requires_grad_(False),)

    @property
    def classifier(self) -> nn.Module:
        """The classifier, in eval mode and frozen; gradients pass through it."""
        return self._frozen[0]

    def denoised(self, x: Tensor) -> Tensor:
        """Return what the denoiser makes of images `[B, C, H, W]`."""
        return super().forward(x)

    def forward(self, input: Tensor) -> Tensor:
        """Map noisy images to logits."""
        return self.classifier(self.denoised(input))


class BehindDenoiser(nn.Sequential):
    """A classifier behind a frozen denoiser, for the classifier's training.

    Its modules, parameters and state are those of the classifier alone.
    """

    def __init__(self, classifier: nn.Sequential, denoiser: nn.Module) -> None:
        """Put a classifier, as `rszoo.networks.build` returns it, behind a denoiser."""
        super().__init__(*classifier)
        self._frozen = (denoiser.eval().requires_grad_(False),)  # as in `Denoising`

    def forward(self, input: Tensor) -> Tensor:
        """Map noisy images to logits."""
        return super().forward(self._frozen[0](input))

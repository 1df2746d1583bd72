"""What the best of several experts has, for each image and at each radius: no certificate.

The oracle takes for each image the largest radius of an expert that is right; the upper envelope
takes at each radius the largest certified accuracy of an expert. Nobody can use either:

- Which expert is right, only the true class says, and at what radius which expert is best, only
  the images that are certified.
- Even where all experts give the same class, the largest of K radii is wrong if any of them is. It
  would need each at alpha / K, by a union bound.
- At an image nearby another expert may be the best. What is certified is each expert, not a
  function that changes between them as their radii do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Oracle", "accuracies"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Oracle:
    """What several experts have on the same images, and the best of them.

    Attributes:
        radii: of each expert where it is right, else 0; pixel units, `[K, images]`.
        right: whether it is, and does not abstain, `[K, images]`.
    """

    radii: Floats
    right: NDArray[np.bool_]

    @property
    def best(self) -> int:
        """The expert of the largest ACR, from 0; the first of equal ones."""
        return int(self.radii.mean(1).argmax())

    @property
    def best_acr(self) -> float:
        """The largest ACR of an expert, pixel units; this is a certified one."""
        return float(self.radii.mean(1).max())

    @property
    def acr(self) -> float:
        """The average over the images of the largest radius where right, pixel units."""
        return float(self.radii.max(0).mean())

    def accuracy(self, at: Sequence[float]) -> Floats:
        """Return the share of images for which any expert is right, at each radius."""
        return accuracies(self.radii, self.right, at).any(0).mean(0)

    def envelope(self, at: Sequence[float]) -> Floats:
        """Return the largest certified accuracy of any expert, at each radius."""
        return accuracies(self.radii, self.right, at).mean(1).max(0)

    def below(self, radii: Floats, right: NDArray[np.bool_], at: Sequence[float]) -> Floats:
        """Return by how much a model's certified accuracy is below the envelope, at each radius.

        Args:
            radii, right: of the model on the same images, `[images]`.
            at: the radii, pixel units.
        """
        highest = accuracies(self.radii, self.right, at).sum(1).max(0)
        return (highest - accuracies(radii, right, at).sum(0)) / len(radii)  # of counts: exactly

    def way(self, acr: float) -> float | None:
        """Return how much of the way from the best expert's ACR to the oracle's one has gone.

        Negative below the best expert; None where the best expert is the oracle.
        """
        gap = self.acr - self.best_acr
        return (acr - self.best_acr) / gap if gap > 0.0 else None


def accuracies(radii: Floats, right: NDArray[np.bool_], at: Sequence[float]) -> NDArray[np.bool_]:
    """Return whether what is right is certified at each radius.

    Args:
        radii: pixel units, of any shape.
        right: whether it is, of the same shape.
        at: the radii, pixel units.

    Returns:
        Of the shape with an axis for `at` behind it; its mean over images is certified accuracy.
    """
    return right[..., None] & (radii[..., None] >= np.asarray(at, dtype=np.float64))

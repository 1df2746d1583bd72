"""What everything that certifies has in common, for those who do not care what it is made of."""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from rszoo.smoothing.certificate import Certificate, Prediction

__all__ = ["Classifier"]


class Classifier(Protocol):
    """What certifies: one smoothed network, or several that work together.

    Attributes:
        num_classes: number of classes.
        input_shape: shape of one input, or None when any shape is accepted.
        class_names: names of the classes, or None.
        device: where it runs.
    """

    num_classes: int
    input_shape: tuple[int, ...] | None
    class_names: tuple[str, ...] | None
    device: torch.device

    @property
    def facts(self) -> dict[str, object]:
        """What a log's protocol says of it, as JSON values."""
        ...

    def certify(
        self,
        x: Tensor,
        *,
        n0: int = 100,
        n: int = 100_000,
        alpha: float = 0.001,
        seed: int = 0,
        radii: Sequence[float] | None = None,
        tolerance: float = 0.0,
        on_progress: Callable[[int], None] | None = None,
    ) -> Certificate | list[Certificate]:
        """Certify one input or a batch; see `SmoothedClassifier.certify`."""
        ...

    def predict(
        self,
        x: Tensor,
        *,
        n: int = 1000,
        alpha: float = 0.001,
        seed: int = 0,
        on_progress: Callable[[int], None] | None = None,
    ) -> Prediction | list[Prediction]:
        """Evaluate at one input or a batch; see `SmoothedClassifier.predict`."""
        ...

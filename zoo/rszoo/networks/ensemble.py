"""The average of the logits of several networks, as one network.

Horvath, Müller, Fischer and Vechev (2022), Boosting Randomized Smoothing with Variance Reduced
Classifiers, https://arxiv.org/abs/2106.06946, section 4: under noise the logits of networks that
differ in their seeds vary independently, in part, and their average varies less. So the most
probable class is more often the answer, and its certified radius is larger.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

__all__ = ["Ensemble"]


class Ensemble(nn.Module):
    """Networks of the same inputs and classes, whose logits are averaged.

    Attributes:
        networks: each maps images `[B, C, H, W]` in [0, 1] to logits `[B, classes]`.
    """

    stateless: ClassVar[bool] = True

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        """Put networks together.

        Raises:
            ValueError: there are fewer than two.
        """
        super().__init__()
        if len(networks) < 2:
            raise ValueError(f"expected at least two networks, got {len(networks)}")
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        """Return the average of the logits, `[B, classes]`, in float32 at least."""
        # Summed one by one: the logits of all networks need not be in memory at once.
        total = torch.zeros((), device=x.device)
        for network in self.networks:
            total = total + network(x)
        return total / len(self.networks)

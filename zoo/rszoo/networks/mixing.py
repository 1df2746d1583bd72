"""The small network that chooses the weight of a mix, input by input.

Bai, Mo, Lee and Sojoudi (2024), Improving the Accuracy-Robustness Trade-Off of Classifiers via
Adaptive Smoothing, https://arxiv.org/abs/2301.12554, take inner features of both classifiers. This
one sees how sure both are and whether they agree, which every pair of networks can tell.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MixingNetwork"]

# The largest probabilities of either classifier that it sees.
_SEEN = 3


class MixingNetwork(nn.Module):
    """Maps the logits of two classifiers, `[B, classes]` each, to a number in [0, 1], `[B]`.

    0 is the standard classifier's side, 1 the robust one's. Untrained it gives 1/2. It does not
    depend on how the classes are numbered.
    """

    def __init__(self, hidden: int = 16) -> None:
        """Make an untrained network with so many hidden units."""
        super().__init__()
        self.hidden = nn.Linear(2 * _SEEN + 1, hidden)
        self.out = nn.Linear(hidden, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, standard: Tensor, robust: Tensor) -> Tensor:
        g, h = standard.float().softmax(-1), robust.float().softmax(-1)
        agreement = (g * h).sum(-1, keepdim=True)
        features = torch.cat([_largest(g), _largest(h), agreement], dim=-1)
        return self.out(F.relu(self.hidden(features))).squeeze(-1).sigmoid()


def _largest(probabilities: Tensor) -> Tensor:
    """Return the largest probabilities in order; zeros where there are too few classes."""
    count = min(_SEEN, probabilities.shape[-1])
    return F.pad(probabilities.topk(count, dim=-1).values, (0, _SEEN - count))

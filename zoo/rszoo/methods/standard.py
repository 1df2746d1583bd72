"""Standard training: cross-entropy on the clean images, without noise.

The accurate part of a mix (`rszoo.smoothing.mixed`). By itself such a network certifies nothing.

    E CE(F(x), y)
"""

import torch.nn.functional as F
from torch import Tensor, nn

#: The noise level is 0.
TRAINS = "standard"

#: The loss is the same at any `progress`.
STEADY = True


def loss(model: nn.Module, x: Tensor, y: Tensor, *, sigma: float, progress: float) -> Tensor:
    """Return the scalar loss of a batch `x` `[B, C, H, W]` with labels `y` `[B]`."""
    del sigma, progress
    return F.cross_entropy(model(x).float(), y)  # in float32 under autocast too

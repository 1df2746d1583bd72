"""The network treats the images of a batch one by one: assumed by every certificate, and checked.

A batch of a certification holds noisy copies of one input. A network that looks at its batch, by
an average or by batch statistics, averages that noise away: its copies all get the answer of the
input itself, votes say that p is near 1, and a radius of 1.6 is certified where 0.05 is true.

Batch normalisation without running statistics is refused when a classifier is made; instance,
group and layer normalisation look at one image each. Any other network is tried on the draws that
are counted: of its first batch, and of the first full one, eight images are evaluated again, each
among two images of another kind. This finds what looks at its batch by mistake. A network that is
made to be caught by no check, one that counts its calls for example, is not found by this one.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from rszoo.errors import RszooError
from rszoo.smoothing.noise import CHUNK
from rszoo.smoothing.votes import default_batch_size

__all__ = ["TOLERANCE", "OneByOne", "check_layers"]

#: How much logits may change with the neighbours, as a share of their scale: by rounding, as
#: another size of batch is added up in another order. Looking at the batch changes them by 1.
TOLERANCE = {"float32": 0.01, "bfloat16": 0.1}

# Images of a batch that are tried.
_TRIED = 8


def check_layers(network: nn.Module) -> None:
    """Refuse a network with batch normalisation that has no running statistics.

    Raises:
        RszooError: there is such a layer; names it.
    """
    for name, layer in network.named_modules():
        if isinstance(layer, _BatchNorm) and layer.running_mean is None:
            raise RszooError(
                "expected a network that treats the images of a batch one by one, got "
                f"{type(layer).__name__} {name!r} without running statistics, which normalises by "
                "the batch; train it with track_running_stats=True, or use instance, group or "
                "layer normalisation"
            )


class OneByOne(nn.Module):
    """A network that is tried on its first batch and on its first full one.

    Attributes:
        network: maps `[B, *shape]` to logits `[B, classes]`.
        batch_size: of a full batch, of which none has more than `CHUNK` images; None: the usual
            number for the shape of the images.
        tolerance: see `TOLERANCE`.
    """

    # But for what was tried, which may happen twice and in any order.
    stateless: ClassVar[bool] = True

    def __init__(self, network: nn.Module, *, batch_size: int | None, precision: str) -> None:
        """Wrap a network that is evaluated in "float32" or "bfloat16"."""
        super().__init__()
        self.network = network
        self.batch_size = batch_size
        self.tolerance = TOLERANCE[precision]
        self._largest = 0  # of the batches that were tried

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the network.

        Raises:
            RszooError: the logits of an image depend on the others in its batch.
        """
        full = min(self.batch_size or default_batch_size(x.shape[1:], x.device), CHUNK)
        if self._largest and not self._largest < full <= len(x):
            return self.network(x)
        rows = torch.linspace(0, len(x) - 1, min(_TRIED, len(x)), device=x.device).round().long()
        images = x[rows]  # a copy: the network may overwrite its batch
        logits: Tensor = self.network(x)
        if logits.ndim == 2 and len(logits) == len(x):  # whoever counts refuses any other shape
            self._try(images, logits[rows], size=len(x))
        self._largest = len(x)
        return logits

    def _try(self, images: Tensor, logits: Tensor, *, size: int) -> None:
        """Refuse the network if images have other logits among other neighbours."""
        again = torch.stack([self._elsewhere(place, one) for place, one in enumerate(images)])
        change = _change(logits.float(), again.float())
        if not change <= self.tolerance:
            raise RszooError(
                "expected a network that treats the images of a batch one by one, got logits of "
                f"noisy images in a batch of {size} that change by {change:.2g} of their scale "
                f"(more than {self.tolerance:g}) among other neighbours; no radius holds for a "
                "network that averages over its batch, takes statistics of it, or is random"
            )

    def _elsewhere(self, place: int, image: Tensor) -> Tensor:
        """Return the logits of one image among two that are no noisy copies of its input."""
        light = torch.full_like(image, 0.25 * (place % 5))
        batch = [1.0 - image, image.flip(-1) if place % 2 else light]
        batch.insert(place % 3, image)
        others = torch.stack(batch)
        if others.ndim == 4:
            others = others.contiguous(memory_format=torch.channels_last)
        return self.network(others)[place % 3]


def _change(logits: Tensor, again: Tensor) -> float:
    """Return the largest difference as a share of the scale; what all classes share is nothing."""
    if bool((logits.isfinite() != again.isfinite()).any()):
        return math.inf
    first, second = (
        finite - finite.mean(1, keepdim=True)
        for finite in (one.nan_to_num(0.0, 0.0, 0.0) for one in (logits, again))
    )
    difference = (first - second).abs().max().item()
    scale = max(first.abs().max().item(), second.abs().max().item())
    return difference / scale if difference else 0.0

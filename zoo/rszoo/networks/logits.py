"""The logits in whatever a network answers: a tensor, an object or a mapping of them, a tuple.

Networks of transformers answer a dataclass with the attribute `logits`, or a tuple that begins
with them; some of torchvision answer a named tuple in training. This is the one place that knows.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from rszoo.errors import RszooError

__all__ = ["Logits", "WithLogits", "as_network", "logits_in"]


def logits_in(answer: object) -> Tensor:
    """Return the logits `[B, classes]` in what a network answers.

    Raises:
        RszooError: there are none.
    """
    found = answer
    if isinstance(found, Mapping) and "logits" in found:
        found = found["logits"]
    elif not isinstance(found, Tensor) and hasattr(found, "logits"):
        found = found.logits  # type: ignore[attr-defined]
    elif isinstance(found, tuple | list) and found:
        found = found[0]
    if not isinstance(found, Tensor):
        raise RszooError(
            "expected logits [B, classes] from the network: a tensor, or a dict, an object or a "
            f"tuple with them (logits), got {_described(answer)}"
        )
    return found


class Logits(nn.Module):
    """The last layer of a network of another library: what it answers becomes its logits."""

    def forward(self, answer: Any) -> Tensor:  # noqa: ANN401
        """Return the logits `[B, classes]` in an answer."""
        return logits_in(answer)


class WithLogits(nn.Module):
    """A network of which only the logits are taken.

    Attributes:
        network: maps images `[B, C, H, W]` to logits, or to something that holds them.
    """

    stateless: ClassVar[bool] = True

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits `[B, classes]` of images."""
        return logits_in(self.network(x))


class _Function(nn.Module):
    """A function of images, as a network without weights of its own."""

    def __init__(self, function: Callable[[Tensor], object]) -> None:
        super().__init__()
        self._function = function

    def forward(self, x: Tensor) -> object:
        return self._function(x)


def as_network(network: object) -> nn.Module:
    """Return a network as it is, and a function of images as a network.

    Raises:
        RszooError: it is neither.
    """
    if isinstance(network, nn.Module):
        return network
    if isinstance(network, type) or not callable(network):
        raise RszooError(
            "expected a network (torch.nn.Module), or a function from images [B, C, H, W] to "
            f"logits, got {_described(network)}"
        )
    return _Function(network)


def _described(value: object) -> str:
    if isinstance(value, Mapping):
        return f"a mapping with the keys {sorted(map(str, value))[:5]}"
    if isinstance(value, type):
        return f"the class {value.__name__}; make an object of it"
    if isinstance(value, torch.Size | tuple | list):
        return f"{type(value).__name__} of {[type(part).__name__ for part in value][:5]}"
    return type(value).__name__

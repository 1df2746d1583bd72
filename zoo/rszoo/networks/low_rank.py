"""A network whose weights are those of a frozen one and low-rank changes of them.

Hu et al. (2022), LoRA: Low-Rank Adaptation of Large Language Models,
https://arxiv.org/abs/2106.09685: the weight W of a layer becomes W + (alpha / rank) B A, where A
has few rows and B few columns. Only these learn, and only these are stored for each of several
networks over one backbone.

The sum is made anew whenever a layer asks for its weight. Nothing is ever added to the backbone's
weights, which several networks share, in several threads perhaps.
"""

import copy
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

__all__ = ["Adapted", "Adapters", "LowRank"]

_ADAPTED = (nn.Linear, nn.Conv2d)


class LowRank(nn.Module):
    """The change of one weight, 0 at first.

    Attributes:
        A, B: its factors, `[rank, columns]` and `[rows, rank]`; the weight as a matrix has as many
            rows as outputs.
        scale: what their product is multiplied by.
    """

    def __init__(self, weight: Tensor, *, rank: int, alpha: float) -> None:
        """Make the change of a weight `[outputs, ...]`, of less rank where it is small."""
        super().__init__()
        rows, columns = len(weight), weight[0].numel()
        kept = min(rank, rows, columns)
        # Where the weight is: another network may have taken what both share to a GPU already.
        self.A = nn.Parameter(torch.empty(kept, columns, device=weight.device))
        self.B = nn.Parameter(torch.zeros(rows, kept, device=weight.device))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))  # as a linear layer begins

    def forward(self, weight: Tensor) -> Tensor:
        """Return a weight with its change added."""
        return weight + self.scale * (self.B @ self.A).view(weight.shape)


class Adapted(nn.Module):
    """A frozen network with a low-rank change of the weight of each linear layer and convolution.

    Attributes:
        network: as the backbone, of which it shares the weights.
        rank, alpha: of the changes.
    """

    def __init__(self, backbone: nn.Module, *, rank: int, alpha: float) -> None:
        """Put changes, which are 0 at first, on a network; its weights are frozen from now on."""
        super().__init__()
        self.network = _sharing_copy(backbone).eval().requires_grad_(False)
        # In a tuple, where torch does not look for modules: all its weights are in the network.
        self._backbone = (backbone,)
        self.rank, self.alpha = rank, alpha
        for layer in list(self.network.modules()):
            if isinstance(layer, _ADAPTED):
                change = LowRank(layer.weight, rank=rank, alpha=alpha)
                parametrize.register_parametrization(layer, "weight", change)

    def changes(self) -> Iterator[tuple[str, LowRank]]:
        """Yield each change, and the name of its layer in the network."""
        for name, layer in self.network.named_modules():
            if parametrize.is_parametrized(layer, "weight"):
                changes: Any = layer.parametrizations
                yield name, changes["weight"][0]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits `[B, classes]` of images."""
        return self.network(x)

    def __reduce__(self) -> tuple[object, ...]:
        """Travel to another process as the backbone and its changes."""
        plain = _sharing_copy(self._backbone[0])
        for name, buffer in self.network.named_buffers():  # where the network was moved to
            owner, _, last = name.rpartition(".")
            plain.get_submodule(owner)._buffers[last] = buffer
        return _adapted, (plain, self.rank, self.alpha, Adapters(self).state_dict())


class Adapters(nn.Module):
    """The changes of a network alone: its modules, parameters and state are theirs.

    What learns, and what is stored; the names are those of the layers in the network.
    """

    def __init__(self, adapted: Adapted) -> None:
        """Take the changes of a network, which stays the one that they change."""
        super().__init__()
        for name, change in adapted.changes():
            _put(self, name, change)
        # In a tuple, where torch does not look for modules: it is neither trained nor stored.
        self._adapted = (adapted,)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits `[B, classes]` of images."""
        return self._adapted[0](x)


def _adapted(backbone: nn.Module, rank: int, alpha: float, state: Mapping[str, Tensor]) -> Adapted:
    network = Adapted(backbone, rank=rank, alpha=alpha)
    Adapters(network).load_state_dict(state)
    return network


def _sharing_copy(network: nn.Module) -> nn.Module:
    """Return a network of other modules and the same tensors."""
    tensors = [*network.parameters(), *network.buffers()]
    return copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})


def _put(root: nn.Module, name: str, module: nn.Module) -> None:
    """Put a module into another one, under a name with dots."""
    *above, last = name.split(".")
    for part in above:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(last, module)

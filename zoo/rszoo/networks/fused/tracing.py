"""From a network to its outline: by what it does, not by what it is called.

The network is traced by `torch.fx`, which records its layers and functions without running them,
and the record is read step by step. What is not known leads to no outline; so does one whose plan
has other logits than the network, which may do what a trace does not see (hooks, for example).
"""

import operator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from rszoo.networks.execution import evaluation_mode
from rszoo.networks.fused.outline import Layer, Outline
from rszoo.networks.fused.plan import IMAGES, Plan, Unsupported, by_torch
from rszoo.networks.normalize import Normalize
from rszoo.networks.normalized import convolve_normalized

__all__ = ["outlined", "planned"]

# Relative difference of logits up to which a plan is the network: float32 and TF32 round.
_TOLERANCE = 0.01

_RELU = (F.relu, torch.relu, torch.relu_, "relu", "relu_")
_ADD = (operator.add, operator.iadd, torch.add, "add", "add_")
_FLATTEN = (torch.flatten, "flatten")
_MEAN = (torch.mean, "mean")


@dataclass(frozen=True)
class _Images:
    """The images, perhaps standardised."""

    normalize: Normalize | None = None


class _Pooled:
    """The average over pixels of the result of the last step."""


@dataclass(frozen=True)
class _Logits:
    head: nn.Linear


# What a node of the trace stands for; an integer is the result of a step.
_Value = _Images | Layer | int | _Pooled | _Logits


class _Tracer(fx.Tracer):
    """Keeps layers whole, and convolutions with their normalisation."""

    def __init__(self) -> None:
        super().__init__(autowrap_functions=(convolve_normalized,))

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Normalize) or super().is_leaf_module(m, module_qualified_name)

    def create_arg(self, a: Any) -> Any:  # noqa: ANN401
        if isinstance(a, nn.Module):
            return self.create_node("get_attr", self.path_of_module(a), (), {})
        return super().create_arg(a)


def planned(network: nn.Module, input_shape: tuple[int, ...]) -> Plan:
    """Return the plan of a network in eval mode, whatever mode it is in; see `outlined`."""
    return outlined(network, input_shape).plan()


def outlined(network: nn.Module, input_shape: tuple[int, ...]) -> Outline:
    """Return the outline of a network in eval mode, whatever mode it is in.

    Args:
        network: maps images `[B, C, H, W]` to logits.
        input_shape: of one image.

    Raises:
        Unsupported: it does something else than outlines can say, or hides what it does.
    """
    if len(input_shape) != 3:
        raise _other(f"inputs of shape {tuple(input_shape)}")
    with evaluation_mode(network):
        try:
            # A copy that shares its tensors: what a network remembers of a trace is no number.
            tensors = {id(one): one for one in (*network.parameters(), *network.buffers())}
            graph = _Tracer().trace(deepcopy(network, tensors))
        except Exception as error:  # whatever code of others does with what is no tensor
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise _other(f"a network that cannot be traced ({reason})") from error
        outline = _Reading(network, graph, channels=input_shape[0]).outline()
        _check_same(network, outline.plan(), input_shape)
    return outline


@torch.no_grad()
def _check_same(network: nn.Module, plan: Plan, input_shape: tuple[int, ...]) -> None:
    """Refuse a plan that has other logits than its network."""
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((4, *input_shape), generator=generator).to(device)
    with torch.autocast(device.type, enabled=False):
        mine, its = by_torch(plan, x.clone()), network(x)
    if not isinstance(its, Tensor) or its.shape != mine.shape:
        raise _other("a network whose answer is more than logits")
    difference, scale = (mine - its).abs().max(), its.abs().max()
    if not bool(difference <= _TOLERANCE * scale):
        raise _other("a network that does more than its layers say")


class _Reading:
    """Reads a trace from its first node to its last.

    A convolution stays open, a `Layer` that is not among the layers, until what follows it is
    known.
    """

    def __init__(self, network: nn.Module, graph: fx.Graph, *, channels: int) -> None:
        self.modules = dict(network.named_modules())
        self.graph = graph
        self.channels = channels
        self.layers: list[Layer] = []
        self.images = _Images()
        self.values: dict[fx.Node, _Value] = {}

    def outline(self) -> Outline:
        logits: object = None
        for node in self.graph.nodes:
            if node.op == "placeholder":
                if self.values:
                    raise _other("a network of more than its images")
                self.values[node] = self.images
            elif node.op == "output":
                answer = node.args[0]
                logits = self.values.get(answer) if isinstance(answer, fx.Node) else None
            elif node.op != "get_attr":
                self.values[node] = self._read(node)
        if not isinstance(logits, _Logits):
            raise _other("a network that does not end with one linear layer")
        return Outline(
            channels=self.channels,
            normalize=self.images.normalize,
            layers=tuple(self.layers),
            head=logits.head,
        )

    def _read(self, node: fx.Node) -> _Value:
        """Return what a node stands for."""
        if node.op == "call_module":
            return self._layer(node, self.modules[str(node.target)])
        if node.target is convolve_normalized:
            conv, norm, x = node.args
            assert isinstance(conv, fx.Node)
            assert isinstance(norm, fx.Node)
            opened = self._convolution(x, self.modules[str(conv.target)])
            return _normalized(opened, self.modules[str(norm.target)])
        if node.target in _ADD and len(node.args) == 2 and not node.kwargs:
            return self._sum(*node.args)
        if node.target in _RELU:
            return self._relu(node)
        if node.target in _MEAN and _averages_pixels(node):
            return self._pooled(node.args[0])
        if (
            node.target is F.adaptive_avg_pool2d
            and node.args[1:] in ((1,), ((1, 1),))
            and not node.kwargs
        ):
            return self._pooled(node.args[0])
        if node.target in _FLATTEN and node.args[1:] == (1,) and not node.kwargs:
            return self._flat(node.args[0])
        name = getattr(node.target, "__name__", node.target)
        raise _other(f"a network with {name!r}")

    def _layer(self, node: fx.Node, layer: nn.Module) -> _Value:
        """Return what the result of a layer stands for."""
        if len(node.args) != 1 or node.kwargs:
            raise _other(f"a network that gives {node.target} more than its images")
        x = node.args[0]
        match layer:
            case Normalize():
                return self._standardised(x, layer)
            case nn.Conv2d():
                return self._convolution(x, layer)
            case nn.BatchNorm2d():
                return _normalized(self._open(x), layer)
            case nn.ReLU():
                return self._relu(node)
            case nn.Identity() | nn.Dropout():
                assert isinstance(x, fx.Node)
                return self.values[x]
            case nn.AdaptiveAvgPool2d(output_size=1 | (1, 1)):
                return self._pooled(x)
            case nn.Flatten(start_dim=1, end_dim=-1):
                return self._flat(x)
            case nn.Linear() if isinstance(self._value(x), _Pooled):
                return _Logits(layer)
        raise _other(f"a network with {type(layer).__name__} ({node.target})")

    def _value(self, x: object) -> _Value:
        if not isinstance(x, fx.Node) or x not in self.values:
            raise _other("a network with constants beside its layers")
        return self.values[x]

    def _open(self, x: object) -> Layer:
        """Return a convolution that nothing else reads, to put more into it."""
        value = self._value(x)
        if not isinstance(value, Layer) or not isinstance(x, fx.Node) or len(x.users) > 1:
            raise _other("a network whose layers do not follow convolutions")
        return value

    def _result(self, x: object) -> int:
        """Return the number of the step whose result a node is, which ends it if it is open."""
        value = self._value(x)
        if isinstance(value, Layer):
            assert isinstance(x, fx.Node)
            self.layers.append(value)
            value = self.values[x] = len(self.layers) - 1
        if not isinstance(value, int):
            raise _other("a network whose layers do not follow convolutions")
        return value

    def _standardised(self, x: object, layer: Normalize) -> _Images:
        if self._value(x) != self.images or self.images.normalize is not None:
            raise _other("a network that standardises something else than its images")
        self.images = _Images(layer)
        return self.images

    def _convolution(self, x: object, layer: nn.Module) -> Layer:
        assert isinstance(layer, nn.Conv2d)
        k, *others = {*layer.kernel_size}
        stride, padding = layer.stride[0], layer.padding[0]
        usual = layer.groups == 1 and {*layer.dilation} == {1} and layer.padding_mode == "zeros"
        square = len({*layer.stride}) == 1 and {*layer.padding} == {padding} and not others
        if not (usual and square and (k, padding) in ((1, 0), (3, 1)) and stride in (1, 2)):
            raise _other(f"a network with {layer}")
        value = self._value(x)
        on_images = isinstance(value, _Images)
        if on_images and (value is not self.images or (k, stride) != (3, 1)):
            raise _other(f"a network that begins with {layer}")
        return Layer(source=IMAGES if on_images else self._result(x), conv=layer)

    def _sum(self, x: object, y: object) -> Layer:
        """Return the sum of a convolution and of another result, which ends the other."""
        for one, other in ((x, y), (y, x)):
            value = self._value(one)
            if isinstance(value, Layer) and value.shortcut is None and x is not y:
                return replace(self._open(one), shortcut=self._result(other))
        raise _other("a network with a sum of something else than a convolution")

    def _relu(self, node: fx.Node) -> int:
        """Return the number of a step that ends with a ReLU."""
        self.layers.append(replace(self._open(node.args[0]), relu=True))
        return len(self.layers) - 1

    def _pooled(self, x: object) -> _Pooled:
        if self._result(x) != len(self.layers) - 1:
            raise _other("a network that averages what is not its last layer")
        return _Pooled()

    def _flat(self, x: object) -> _Pooled:
        value = self._value(x)
        if not isinstance(value, _Pooled):
            raise _other("a network with a linear layer of pixels")
        return value


def _normalized(layer: Layer, norm: nn.Module) -> Layer:
    """Return a convolution whose result is normalised, once."""
    assert isinstance(norm, nn.BatchNorm2d)
    unknown = norm.running_mean is None or norm.running_var is None
    if unknown or layer.shortcut is not None or layer.norm is not None:
        raise _other("a network with batch normalisation of something else than convolutions")
    return replace(layer, norm=norm)


def _other(what: str) -> Unsupported:
    return Unsupported(
        "expected a network of 3x3 and 1x1 convolutions with batch normalisation, ReLU and "
        f"shortcuts, an average over pixels and one linear layer, got {what}"
    )


def _averages_pixels(node: fx.Node) -> bool:
    """Return whether a mean is one over rows and columns."""
    dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    return isinstance(dims, tuple | list) and sorted(int(d) % 4 for d in dims) == [2, 3]  # type: ignore[call-overload]

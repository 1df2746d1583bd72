"""What an ONNX file may hold to be certified: standard operators that are no game of chance.

A certificate assumes a function of one image. So operators that draw numbers, that train, or that
are not defined by the standard are refused, wherever they stand: in the graph, in the graphs
within its operators, and in functions. Loops without a bound of their own are, too, and data in
other files. Whether the graph mixes the images of a batch no rule can say: that is tried.
"""

import importlib.util
import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from rszoo.errors import RszooError

__all__ = ["check_graph", "check_installed"]

_PACKAGES = ("onnx", "onnxruntime")

_RANDOM = frozenset(
    ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform")
) | {"RandomUniformLike"}
_ENDLESS = frozenset(("Loop",))
_STANDARD = ("", "ai.onnx")

# Domains of functions. onnxruntime runs an operator of its own in the place of a function of the
# same name, whatever the function says; all of its domains, such as com.microsoft, have a dot.
_OWN = re.compile(r"[A-Za-z_]\w*|pkg\.[\w.]+")

# Before it, dropout and batch normalisation are told in another way whether they train.
_OLDEST = 7

_DEEPEST = 16
_MOST_NODES = 200_000


def check_installed() -> None:
    """Refuse ONNX where the packages for it are missing.

    Raises:
        RszooError: they are.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise RszooError(
            f"an ONNX network needs the packages {list(_PACKAGES)}, {missing} are not installed; "
            "pip install 'rszoo[onnx]'"
        )


def check_graph(content: bytes) -> None:
    """Refuse an ONNX file that is not a fixed function by what stands in it.

    Raises:
        RszooError: it is no ONNX file; or it has operators that are random, that train, that loop
            or that the standard does not define, data in other files, or too many nodes.
    """
    check_installed()
    onnx: Any = import_module("onnx")
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception as error:  # of protobuf, whose class is not public
        raise _refusal("a file that cannot be read") from error
    if not model.HasField("graph"):
        raise _refusal("a file without a graph")
    if model.training_info:
        raise _refusal("one with a graph for training")
    _Walk(model, onnx).check()


class _Walk:
    """All nodes of a model, each with what its functions and graphs come to."""

    def __init__(self, model: Any, onnx: Any) -> None:  # noqa: ANN401
        self.model = model
        self.onnx = onnx
        self.standard = {one.name for one in onnx.defs.get_all_schemas() if not one.domain}
        self.functions = {_key(one): one for one in model.functions}
        self._counts: dict[tuple[str, str, str], int] = {}
        self._open: list[tuple[str, str, str]] = []

    def check(self) -> None:
        """Refuse what stands in the graph or in a function, used or not."""
        self._check_versions(self.model.opset_import)
        for function in self.model.functions:
            if not _OWN.fullmatch(function.domain):
                raise _refusal(
                    f"a function {function.name!r} of the domain {function.domain!r}, where "
                    "onnxruntime may have an operator of this name"
                )
            self._check_versions(function.opset_import)
        for key in self.functions:
            self._count_function(key)
        self._count_graph(self.model.graph, depth=0)

    def _check_versions(self, imports: Sequence[Any]) -> None:
        old = [one.version for one in imports if one.domain in _STANDARD and one.version < _OLDEST]
        if old:
            raise _refusal(f"operators of version {old[0]}; export it with {_OLDEST} or later")

    def _count_function(self, key: tuple[str, str, str]) -> int:
        """Return how many nodes a function comes to once those it calls are put in."""
        if key in self._open:
            raise _refusal(f"a function {key[1]!r} that calls itself")
        if key not in self._counts:
            self._open.append(key)
            self._counts[key] = self._count(self.functions[key].node, depth=0)
            self._open.pop()
        return self._counts[key]

    def _count_graph(self, graph: Any, *, depth: int) -> int:  # noqa: ANN401
        if depth > _DEEPEST:
            raise _refusal(f"graphs within graphs, more than {_DEEPEST} deep")
        for tensor in graph.initializer:
            self._check_tensor(tensor)
        for sparse in graph.sparse_initializer:
            self._check_sparse(sparse)
        return self._count(graph.node, depth=depth)

    def _count(self, nodes: Sequence[Any], *, depth: int) -> int:
        total = 0
        for node in nodes:
            total += 1 + self._count_node(node, depth=depth)
            if total > _MOST_NODES:
                raise _refusal(f"more than {_MOST_NODES:,} nodes")
        return total

    def _count_node(self, node: Any, *, depth: int) -> int:  # noqa: ANN401
        """Return the nodes within one; refuse it if it is no fixed function of its inputs."""
        within = 0
        for attribute in node.attribute:
            for tensor in (*_one(attribute, "t"), *attribute.tensors):
                self._check_tensor(tensor)
            for sparse in (*_one(attribute, "sparse_tensor"), *attribute.sparse_tensors):
                self._check_sparse(sparse)
            for graph in (*_one(attribute, "g"), *attribute.graphs):
                within += self._count_graph(graph, depth=depth + 1)
        if node.domain in _STANDARD:
            self._check_operator(node)
            return within
        key = _key(node, name=node.op_type)
        if key not in self.functions:
            raise _refusal(
                f"the operator {node.op_type!r} of {node.domain!r}, which the standard lacks"
            )
        return within + self._count_function(key)

    def _check_operator(self, node: Any) -> None:  # noqa: ANN401
        name = node.op_type
        if name in _RANDOM:
            raise _refusal(f"the operator {name!r}, which is random")
        if name in _ENDLESS:
            raise _refusal(f"the operator {name!r}, which may run for ever")
        if name not in self.standard:
            raise _refusal(f"the operator {name!r}, which the standard lacks")
        trains = any(one.name == "training_mode" and one.i for one in node.attribute)
        if name == "Dropout" and any(node.input[2:]):
            trains = True
        if name == "BatchNormalization" and any(node.output[1:]):
            trains = True
        if trains or any(
            one.ref_attr_name for one in node.attribute if one.name == "training_mode"
        ):
            raise _refusal(f"a {name!r} in training; export the network in eval mode")

    def _check_sparse(self, sparse: Any) -> None:  # noqa: ANN401
        self._check_tensor(sparse.values)
        self._check_tensor(sparse.indices)

    def _check_tensor(self, tensor: Any) -> None:  # noqa: ANN401
        if tensor.external_data or tensor.data_location == self.onnx.TensorProto.EXTERNAL:
            raise _refusal("data in other files; save it in one file")


def _one(message: Any, field: str) -> Iterator[Any]:  # noqa: ANN401
    if message.HasField(field):
        yield getattr(message, field)


def _key(one: Any, name: str | None = None) -> tuple[str, str, str]:  # noqa: ANN401
    return one.domain, one.name if name is None else name, getattr(one, "overload", "")


def _refusal(found: str) -> RszooError:
    return RszooError(f"expected an ONNX network that is a fixed function, got {found}")

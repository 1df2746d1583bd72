"""ONNX files made by hand: a linear classifier, and what is put before or behind it."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["CLASSES", "SHAPE", "model", "node", "write"]

SHAPE, CLASSES = (1, 8, 8), 3


def node(kind: str, *inputs: str, **more: Any) -> onnx.NodeProto:
    """Return an operator; the name of its output is `out` unless said."""
    outputs = more.pop("outputs", ["out"])
    return helper.make_node(kind, [*inputs], outputs, **more)


def model(
    *behind: onnx.NodeProto,
    batch: int | str = "batch",
    functions: tuple[onnx.FunctionProto, ...] = (),
    domains: tuple[str, ...] = (),
    opset: int = 20,
    weights: onnx.TensorProto | None = None,
    inputs: tuple[onnx.ValueInfoProto, ...] = (),
) -> onnx.ModelProto:
    """Return Flatten and Gemm, whose output is `logits`, and operators behind them.

    The last one's `out` is what the network answers; without any it is `logits`.
    """
    w = np.random.default_rng(0).normal(size=(64, CLASSES)).astype("float32")
    graph = helper.make_graph(
        [
            node("Flatten", "images", outputs=["flat"]),
            node("MatMul", "flat", "w", outputs=["logits"]),
            *behind,
        ],
        "net",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, *SHAPE]), *inputs],
        [helper.make_tensor_value_info("out" if behind else "logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(w, "w") if weights is None else weights],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(one, 1) for one in domains)]
    return helper.make_model(graph, opset_imports=imports, functions=[*functions], ir_version=10)


def write(path: Path, content: onnx.ModelProto) -> Path:
    """Write a model to a file."""
    onnx.save(content, path)
    return path

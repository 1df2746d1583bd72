#!/usr/bin/env bash
# onnxruntime runs an operator of its own in the place of a function that an ONNX file defines, if
# both have the same name in the same domain, and says nothing.
#
# onnxruntime 1.31.1, onnx 1.23.2. Seen: a file defines the function com.microsoft.Gelu, whose body is
# Neg, and one node that calls it. onnx.checker accepts it (full_check too), and onnx's reference
# evaluator answers -x, as the file says; onnxruntime answers Gelu(x), with optimisations off, too.
# Under a domain that onnxruntime does not have it runs the function. The standard leaves to the
# runtime which of the two goes first.
#
# It matters to whoever exports functions and compares runtimes: one file has two answers, and neither
# runtime is at fault.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
W=$(mktemp -d)
trap 'rm -rf "$W"' EXIT
python3 -m venv "$W/v"
"$W/v/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.31.1 numpy
"$W/v/bin/python" - <<'P'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def answers(domain, name):
    """Return what the reference and onnxruntime answer for a function that is called `name`."""
    standard, own = helper.make_opsetid("", 20), helper.make_opsetid(domain, 1)
    body = [helper.make_node("Neg", ["x"], ["y"])]
    function = helper.make_function(domain, name, ["x"], ["y"], body, [standard])
    ends = [helper.make_tensor_value_info(each, TensorProto.FLOAT, [3]) for each in "ab"]
    call = [helper.make_node(name, ["a"], ["b"], domain=domain)]
    graph = helper.make_graph(call, "net", ends[:1], ends[1:])
    model = helper.make_model(
        graph, functions=[function], opset_imports=[standard, own], ir_version=10
    )
    onnx.checker.check_model(model, full_check=True)
    x = np.array([-1.0, 0.5, 2.0], "float32")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return x, ReferenceEvaluator(model).run(None, {"a": x})[0], session.run(None, {"a": x})[0]


print(f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}; the function is Neg")
as_described = True
for domain, name, replaced in (
    ("mine", "Gelu", False),
    ("com.microsoft", "Gelu", True),
    ("com.microsoft", "QuickGelu", True),
):
    x, reference, runtime = answers(domain, name)
    print(f"{domain}.{name}{x}: reference {reference}, onnxruntime {runtime}")
    same = np.allclose(reference, runtime)
    as_described &= np.allclose(reference, -x) and same != replaced
sys.exit(0 if as_described else 1)
P

"""ONNX files as networks: what is no fixed function of one image is refused, wherever it is."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx_files import CLASSES, SHAPE, model, node, write

from rszoo import SmoothedClassifier
from rszoo.errors import RszooError
from rszoo.networks import onnx_graph
from rszoo.networks.onnx_network import OnnxNetwork, check_answers, read_onnx


def content(*behind: onnx.NodeProto, **more: Any) -> bytes:
    return model(*behind, **more).SerializeToString()


def graph_of(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    """Return a graph to stand within an operator."""
    out = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    return helper.make_graph([*nodes], "within", [], [out])


def within(*nodes: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return an `If` that has operators in a branch that is never taken."""
    yes = helper.make_node("Identity", ["logits"], ["inner"])
    never = helper.make_node(
        "Constant", [], ["never"], value=numpy_helper.from_array(np.array(False))
    )
    return [
        never,
        node("If", "never", then_branch=graph_of(*nodes), else_branch=graph_of(yes)),
    ]


def function(name: str, *nodes: onnx.NodeProto, domain: str = "mine") -> onnx.FunctionProto:
    return helper.make_function(
        domain,
        name,
        ["x"],
        ["y"],
        [*nodes],
        [helper.make_opsetid("", 20), helper.make_opsetid("mine", 1)],
    )


def test_it_computes_what_the_file_says() -> None:
    network = OnnxNetwork(content())
    w = torch.from_numpy(np.random.default_rng(0).normal(size=(64, CLASSES)).astype("float32"))
    x = torch.rand(5, *SHAPE)
    torch.testing.assert_close(network(x), x.flatten(1) @ w)
    check_answers(network, input_shape=SHAPE, num_classes=CLASSES)
    again = pickle.loads(pickle.dumps(network))
    assert torch.equal(again(x), network(x))


@pytest.mark.slow
def test_an_export_of_torch_passes(tmp_path: Path) -> None:
    network = torch.nn.Sequential(
        *(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU()),
        *(torch.nn.Dropout(), torch.nn.Flatten(), torch.nn.Linear(144, CLASSES)),
    ).eval()
    from rszoo.exchange.onnx_file import onnx_model

    data, _ = onnx_model(network, input_shape=SHAPE, sigma=0.5, note="")
    (tmp_path / "net.onnx").write_bytes(data)
    found = read_onnx(tmp_path / "net.onnx")
    check_answers(found, input_shape=SHAPE, num_classes=CLASSES)
    x = torch.rand(3, *SHAPE)
    with torch.inference_mode():
        torch.testing.assert_close(found(x), network(x))


RANDOM = helper.make_node("RandomNormalLike", ["logits"], ["inner"])
CALL = helper.make_node("Twice", ["logits"], ["out"], domain="mine")
INNER = helper.make_node("Identity", ["x"], ["y"])


def external() -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.zeros((64, CLASSES), "float32"), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def constant(tensor: onnx.TensorProto) -> onnx.NodeProto:
    tensor.name = "c"
    return helper.make_node("Constant", [], ["c"], value=tensor)


def billions() -> dict[str, Any]:
    """Functions of which each calls the one before ten times."""
    calls = [
        function(
            f"f{level}",
            *(
                helper.make_node(f"f{level - 1}", ["x"], [f"y{place}"], domain="mine")
                if level
                else helper.make_node("Identity", ["x"], [f"y{place}"])
                for place in range(9)
            ),
            helper.make_node("Identity", ["x"], ["y"]),
        )
        for level in range(12)
    ]
    return {"functions": tuple(calls), "domains": ("mine",)}


def deep(depth: int) -> list[onnx.NodeProto]:
    nodes = [helper.make_node("Identity", ["logits"], ["inner"])]
    for _ in range(depth):
        *before, branch = within(*nodes)
        branch.output[0] = "inner"
        nodes = [*before, branch]
    return [*nodes, node("Identity", "inner")]


MINE = {"domains": ("mine",)}
REFUSED: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "random": ([node("RandomNormalLike", "logits")], {}, "'RandomNormalLike', which is random"),
    "bernoulli": ([node("Bernoulli", "logits")], {}, "'Bernoulli', which is random"),
    "ai.onnx": ([node("RandomUniformLike", "logits", domain="ai.onnx")], {}, "is random"),
    "within a graph": (within(RANDOM), {}, "which is random"),
    "two deep": (within(*within(RANDOM)), {}, "which is random"),
    "within a function": (
        [CALL],
        {"functions": (function("Twice", node("RandomNormalLike", "x", outputs=["y"])),), **MINE},
        "which is random",
    ),
    "a function that is not called": (
        [],
        {"functions": (function("Twice", node("RandomNormalLike", "x", outputs=["y"])),), **MINE},
        "which is random",
    ),
    "foreign": ([node("Gelu", "logits", domain="com.microsoft")], {}, "the standard lacks"),
    "unknown": ([node("Gelato", "logits")], {}, "'Gelato', which the standard lacks"),
    "a function that is not there": ([CALL], MINE, "'Twice' of 'mine', which the standard lacks"),
    "another Relu": (
        [node("Relu", "logits")],
        {"functions": (function("Relu", INNER, domain=""),)},
        "a function 'Relu' of the domain ''",
    ),
    **{
        f"another operator of {domain}": (
            [node(name, "logits", domain=domain)],
            {"functions": (function(name, INNER, domain=domain),), "domains": (domain,)},
            f"a function '{name}' of the domain '{domain}', where onnxruntime may have",
        )
        for domain, name in (
            ("com.microsoft", "Gelu"),
            ("com.microsoft", "BiasDropout"),
            ("ai.onnx.ml", "Binarizer"),
            ("org.pytorch.aten", "ATen"),
        )
    },
    "calls itself": (
        [CALL],
        {
            "functions": (
                function("Twice", helper.make_node("Twice", ["x"], ["y"], domain="mine")),
            ),
            **MINE,
        },
        "calls itself",
    ),
    "billions": ([], billions(), "more than 200,000 nodes"),
    "deep": (deep(20), {}, "graphs within graphs"),
    "loop": (
        [helper.make_node("Loop", ["", "", "logits"], ["out"], body=graph_of(INNER))],
        {},
        "may run for ever",
    ),
    "dropout": ([node("Dropout", "logits", "", "t")], {}, "a 'Dropout' in training"),
    "norm": (
        [node("BatchNormalization", "logits", "s", "b", "m", "v", training_mode=1)],
        {},
        "a 'BatchNormalization' in training",
    ),
    "old norm": (
        [node("BatchNormalization", "logits", "s", "b", "m", "v", outputs=["out", "m2", "v2"])],
        {"opset": 9},
        "a 'BatchNormalization' in training",
    ),
    "old": ([], {"opset": 6}, "operators of version 6"),
    "external": ([], {"weights": external()}, "data in other files"),
    "external constant": ([constant(external())], {}, "data in other files"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_fixed_function(case: str) -> None:
    behind, more, complaint = REFUSED[case]
    with pytest.raises(RszooError, match=complaint):
        OnnxNetwork(content(*behind, **more))


def test_training_information() -> None:
    found = model()
    found.training_info.add()
    with pytest.raises(RszooError, match="a graph for training"):
        OnnxNetwork(found.SerializeToString())


def test_a_function_of_its_own_passes() -> None:
    twice = function("Twice", node("Add", "x", "x", outputs=["y"]))
    network = OnnxNetwork(content(CALL, functions=(twice,), domains=("mine",)))
    x = torch.rand(3, *SHAPE)
    torch.testing.assert_close(network(x), 2 * OnnxNetwork(content())(x))


@pytest.mark.parametrize(
    "data", [b"", b"nothing", b"\x08\x07", b"\xff" * 100, content()[:-20], b"PK\x03\x04"]
)
def test_files_that_are_none(data: bytes) -> None:
    with pytest.raises(RszooError, match="expected an ONNX network"):
        OnnxNetwork(data)


@pytest.mark.parametrize(
    ("behind", "more", "complaint"),
    [
        ([], {"batch": 5}, "expected a free number of images, got 5"),
        (
            [],
            {"inputs": (helper.make_tensor_value_info("n", TensorProto.FLOAT, [1]),)},
            "expected one input",
        ),
        ([node("Gather", "logits", "nothing")], {}, "that onnxruntime takes"),
    ],
)
def test_other_ends(behind: list[Any], more: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RszooError, match=complaint):
        OnnxNetwork(content(*behind, **more))


MEAN = [
    helper.make_node("Constant", [], ["axis"], value=numpy_helper.from_array(np.array([0]))),
    helper.make_node("ReduceMean", ["logits", "axis"], ["mean"], keepdims=1),
    node("Sub", "logits", "mean"),
]


def test_a_network_that_mixes_its_batch_is_found_by_trying() -> None:
    network = OnnxNetwork(content(*MEAN))
    with pytest.raises(RszooError, match="one by one, got logits that differ"):
        check_answers(network, input_shape=SHAPE, num_classes=CLASSES)
    smoothed = SmoothedClassifier(network, sigma=0.5, num_classes=CLASSES, device="cpu")
    with pytest.raises(RszooError, match="one by one"):
        smoothed.certify(torch.rand(SHAPE), n=100)


def test_other_shapes_of_answers() -> None:
    network = OnnxNetwork(content())
    with pytest.raises(RszooError, match=r"float logits of shape \(5, 7\)"):
        check_answers(network, input_shape=SHAPE, num_classes=7)
    with pytest.raises(RszooError, match=r"the ONNX network fails on \[1, 1, 9, 9\]"):
        network(torch.rand(1, 1, 9, 9))


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_graph.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RszooError, match=r"pip install 'rszoo\[onnx\]'"):
        OnnxNetwork(content())


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.onnx"):
        with pytest.raises(RszooError, match=r"cannot read|a folder"):
            read_onnx(path)
    assert onnx.load(write(tmp_path / "net.onnx", model())).graph.name == "net"

"""A compiled network answers as the network does, in one compilation."""

import pickle
from typing import Any

import pytest
import torch
from torch._dynamo.exc import TorchDynamoException

from rszoo import networks
from rszoo.errors import RszooError
from rszoo.evaluation.certify import protocol
from rszoo.networks.compiled import Compiled
from rszoo.networks.execution import place
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.interface import Budget

# torch's own compiler uses what torch has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

SHAPE = (3, 8, 8)
BATCH = 20


@pytest.fixture(autouse=True)
def _one_set_of_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each set of vector instructions torch compiles a program, to see whether it runs."""
    from torch._inductor import cpu_vec_isa

    monkeypatch.setattr(cpu_vec_isa, "supported_vec_isa_list", [cpu_vec_isa.VecAVX2()])


def resnet() -> torch.nn.Module:
    network = networks.build("cifar_resnet", input_shape=SHAPE, num_classes=4, depth=8)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return network


def test_the_same_answers_for_full_and_smaller_batches() -> None:
    network = place(resnet().eval(), torch.device("cpu"))
    compiled = Compiled(network, BATCH)
    sent = pickle.loads(pickle.dumps(compiled))
    with torch.inference_mode():
        for size in (BATCH, 7):
            x = torch.rand(size, *SHAPE).contiguous(memory_format=torch.channels_last)
            torch.testing.assert_close(compiled(x), network(x), atol=1e-5, rtol=1e-5)
        with pytest.raises(ValueError, match="expected at most 20 images, got 21"):
            compiled(torch.rand(BATCH + 1, *SHAPE))
    again = pickle.loads(pickle.dumps(compiled))
    for travelled in (sent, again):
        assert travelled.batch_size == BATCH
        assert travelled.network.state_dict().keys() == network.state_dict().keys()


def test_a_compiled_classifier_certifies_the_same_and_says_that_it_is_compiled() -> None:
    network, x = resnet(), torch.rand(SHAPE)
    options: dict[str, Any] = {"sigma": 0.5, "num_classes": 4, "input_shape": SHAPE}
    options["batch_size"] = BATCH  # for which most of it is compiled already
    plain = SmoothedClassifier(network, **options)
    compiled = SmoothedClassifier(network, **options, compile=True)
    assert compiled.certify(x, n0=10, n=1100) == plain.certify(x, n0=10, n=1100)
    said = [
        protocol(one, Budget(), model={}, inputs={}, versions={}).values()
        for one in (plain, compiled)
    ]
    assert said[1] == said[0] | {"compiled": True}


def test_a_machine_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise TorchDynamoException("no g++\nand much more")

    compiled = Compiled(torch.nn.Flatten(), 2)
    monkeypatch.setattr(compiled, "_run", Failing())
    with pytest.raises(RszooError, match=r"^the network cannot be compiled on this machine: no g"):
        compiled(torch.rand(2, 3))


def test_compiling_needs_the_shape_of_inputs() -> None:
    with pytest.raises(ValueError, match=r"^expected input_shape with compile, got None"):
        SmoothedClassifier(torch.nn.Flatten(), sigma=0.5, num_classes=4, compile=True)

"""Device, precision, memory format and mode of a network."""

import pytest
import torch
from torch import nn

from rszoo.errors import RszooError
from rszoo.networks.execution import (
    PRECISIONS,
    autocast,
    evaluation_mode,
    place,
    resolve_device,
    resolve_precision,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(("available", "expected"), [(True, "cuda"), (False, "cpu")])
def test_no_device_means_the_best_one(
    monkeypatch: pytest.MonkeyPatch, available: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert resolve_device() == torch.device(expected)


def test_a_named_device_is_that_device() -> None:
    assert resolve_device("cpu") == CPU
    assert resolve_device(CPU) == CPU


def test_an_unknown_device() -> None:
    with pytest.raises(RuntimeError) as torchs_own:
        torch.device("abacus")
    with pytest.raises(RszooError) as caught:
        resolve_device("abacus")
    assert str(caught.value) == (
        "expected a device of this machine (cpu, cuda, cuda:1, ...), got 'abacus': "
        + str(torchs_own.value).splitlines()[0]
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device would be found")
def test_a_device_that_is_not_here() -> None:
    with pytest.raises((RuntimeError, AssertionError)) as torchs_own:
        torch.empty(0, device="cuda:1")
    with pytest.raises(RszooError) as caught:
        resolve_device("cuda:1")
    assert str(caught.value) == (
        "expected a device of this machine (cpu, cuda, cuda:1, ...), got 'cuda:1': "
        + str(torchs_own.value).splitlines()[0]
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_named_precision_is_that_precision(precision: str) -> None:
    assert resolve_precision(precision, CPU) == precision
    assert resolve_precision(precision, GPU) == precision


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True}, "float32"),
        ({"avx512_bf16": False, "amx_bf16": False}, "float32"),
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
    ],
)
def test_auto_on_a_cpu_asks_the_hardware(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert resolve_precision("auto", CPU) == expected


def test_auto_on_a_cpu_before_torch_2_9(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert resolve_precision("auto", CPU) == "float32"


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")]
)
def test_auto_on_a_gpu_asks_the_hardware(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert resolve_precision("auto", GPU) == expected


def test_auto_elsewhere_is_float32() -> None:
    assert resolve_precision("auto", torch.device("meta")) == "float32"


def test_an_unknown_precision() -> None:
    with pytest.raises(RszooError) as caught:
        resolve_precision("float16", CPU)
    assert str(caught.value) == (
        "expected a precision of ['auto', 'bfloat16', 'float32'], got 'float16'"
    )
    assert PRECISIONS == ("auto", "bfloat16", "float32")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_autocast_is_on_for_bfloat16_alone(precision: str) -> None:
    layer = nn.Linear(3, 2)
    with autocast(CPU, precision):
        assert layer(torch.rand(4, 3)).dtype == getattr(torch, precision)


def test_weights_are_placed_in_channels_last_memory() -> None:
    network = place(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2)), CPU)
    assert isinstance(network, nn.Sequential)
    weight = network[0].weight
    assert isinstance(weight, torch.Tensor)
    assert weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_mode_and_back(training: bool) -> None:
    network = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3)).train(training)
    with evaluation_mode(network):
        assert not any(module.training for module in network.modules())
    assert all(module.training is training for module in network.modules())


def test_evaluation_mode_ends_on_an_error() -> None:
    network = nn.Dropout().train()
    with pytest.raises(ZeroDivisionError), evaluation_mode(network):
        raise ZeroDivisionError
    assert network.training


def test_a_module_that_was_in_eval_mode_inside_a_training_network_stays_so() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout()).train()
    network[0].eval()  # as in fine-tuning
    with evaluation_mode(network):
        assert not any(module.training for module in network.modules())
    assert [network.training, network[0].training, network[1].training] == [True, False, True]

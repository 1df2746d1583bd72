"""Real CUDA graphs of training steps, beside the steps themselves."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from captured_trainings import Training, method_named, some_digits
from torch import Tensor, nn

from rszoo import methods
from rszoo.methods import Method
from rszoo.networks.cuda_graphs import CudaGraphs, Graphs

pytestmark = pytest.mark.gpu

Loss = Callable[..., Tensor]


def on_gpu(method: Method, kind: str = "smoothed", **options: object) -> Training:
    device = torch.device("cuda", torch.cuda.current_device())
    return Training(method=method, kind=kind, device=device, **options)  # type: ignore[arg-type]


def graphs(training: Training, notes: list[str]) -> Callable[[], Graphs]:
    return lambda: CudaGraphs(training.device, on_obstacle=notes.append)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("name", ["gaussian", "smoothadv", "cat_rs"])
def test_losses_are_those_of_plain_steps(name: str, optimizer: str, tmp_path: Path) -> None:
    training = on_gpu(method_named(name), optimizer=optimizer)
    notes: list[str] = []
    losses = training.losses(training.start())
    state, captured = training.interrupted(graphs(training, notes), tmp_path / "checkpoint.pt")
    assert notes == []
    assert state.captured
    # Kernels may add up in another order from run to run, which an attack makes larger; other
    # noise, or a learning rate that stayed where it was, is a difference of a hundredth or more.
    assert captured == pytest.approx(losses, rel=2e-3)


@pytest.mark.parametrize("name", methods.names())
def test_every_method_can_be_captured(name: str) -> None:
    training, notes = on_gpu(method_named(name), methods.trains(name)), list[str]()
    state = training.start()
    losses = training.losses(state, graphs(training, notes)())
    assert notes == []
    assert state.captured
    assert losses == pytest.approx(training.losses(training.start()), rel=1e-2)


def noise_alone(network: nn.Module, x: Tensor, y: Tensor, **_: float) -> Tensor:
    """A loss that is a random number, and one of the batch: no sum, so no rounding."""
    return network(x).sum() * 0.0 + torch.randn((), device=x.device) + x.amax() + y.amax()


def test_noise_and_batches_are_the_same_to_the_last_bit(tmp_path: Path) -> None:
    training = on_gpu(Method(name="noise", loss=noise_alone, phase=lambda progress: None))
    losses = training.losses(training.start())
    state, captured = training.interrupted(graphs(training, []), tmp_path / "checkpoint.pt")
    assert state.captured
    assert captured == losses


@pytest.mark.parametrize("augment", ["crop_flip", "resized_crop_flip"])
def test_augmentation_makes_the_choices_of_a_cpu(augment: str) -> None:
    device, order = torch.device("cuda", torch.cuda.current_device()), torch.arange(67).repeat(8)

    def batches(where: torch.device) -> Tensor:
        generator = torch.Generator().manual_seed(1)
        made = some_digits(where).batches(order, 16, augment=augment, generator=generator)
        return torch.cat([x for _, x, _ in made]).cpu()

    torch.testing.assert_close(batches(device), batches(torch.device("cpu")))


def waits(network: nn.Module, x: Tensor, y: Tensor, **_: float) -> Tensor:
    loss = nn.functional.cross_entropy(network(x), y)
    return loss * 2 if loss > 1 else loss


def draws_on_the_cpu(network: nn.Module, x: Tensor, y: Tensor, **_: float) -> Tensor:
    return nn.functional.cross_entropy(network(x), y) * torch.rand(()).item()


@pytest.mark.parametrize(
    ("loss", "why"),
    [
        (waits, "it waits for the device, in test_captured_gpu.py:"),
        (draws_on_the_cpu, "it draws random numbers on the CPU"),
    ],
)
def test_what_cannot_be_captured_is_seen_before(loss: Loss, why: str) -> None:
    training = on_gpu(Method(name="obstacle", loss=loss, phase=lambda progress: None))
    state, notes = training.start(), list[str]()
    losses = training.losses(state, graphs(training, notes)())
    assert len(notes) == 1
    assert notes[0].startswith(why)
    assert not state.captured
    assert losses == pytest.approx(training.losses(training.start()), rel=1e-3)

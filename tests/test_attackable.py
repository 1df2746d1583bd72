"""Which attacks of a training fused kernels evaluate, and that they are the same attacks."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
from captured_trainings import Training, method_named, tensors
from fused_networks import EXACT, NEEDS_TRITON, distance, resnet, with_statistics
from test_captured import Calls, OfTheDevice
from torch import Tensor, nn
from typer.testing import CliRunner

from rszoo.errors import RszooError
from rszoo.hub.bundle import open_bundle
from rszoo.methods._attacks import frozen
from rszoo.methods._cam import activation_map
from rszoo.methods.smoothadv import adversarial_images
from rszoo.networks.fused import attackable as attackable_module
from rszoo.networks.fused import machine
from rszoo.networks.fused.attackable import Attackable, attackable
from rszoo.networks.fused.plan import Plan, by_torch
from rszoo.training.checkpoint import load_checkpoint, save_checkpoint
from rszoo_cli import app

CPU = torch.device("cpu")
SHAPE = (3, 6, 5)


def plain(channels: int = 3, classes: int = 4) -> nn.Module:
    """Return convolutions with and without normalisation and bias, one of stride 2."""
    return with_statistics(
        nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, classes),
        )
    ).train()


def fused(network: nn.Module, shape: tuple[int, int, int] = SHAPE, **how: Any) -> Attackable:
    """Return a network whose attacks kernels evaluate, in float32, or there is an error."""
    options = {"input_shape": shape, "precision": "float32", "device": CPU}
    found = attackable(network, True, on_obstacle=print, **options | how)
    assert found is not None
    return found


def gradient(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits of a frozen network, and the gradient of the first class of each image."""
    x = x.detach().requires_grad_()
    with frozen(network) as attacked:
        logits = attacked(x)
        (found,) = torch.autograd.grad(logits[:, 0].sum(), x)
    return logits.detach(), found


def learn(network: nn.Module) -> None:
    """Change weights and running statistics in place, as a step of training does."""
    network.train()(torch.rand(8, *SHAPE))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)


def farthest(network: nn.Module, model: Attackable) -> float:
    x = torch.rand(2, *SHAPE)
    return max(
        distance(mine, its)
        for mine, its in zip(gradient(model, x), gradient(network, x), strict=True)
    )


@NEEDS_TRITON
@pytest.mark.parametrize("make", [plain, lambda: resnet(SHAPE)], ids=["plain", "residual"])
def test_attacks_call_the_network_as_it_is_then(make: Callable[[], nn.Module]) -> None:
    network = make().train()
    model = fused(network)
    assert not model.attacked
    assert farthest(network, model) < EXACT
    assert model.attacked
    learn(network)
    assert farthest(network, model) < EXACT


@NEEDS_TRITON
def test_weights_that_are_packed_once_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    network = plain()
    model = fused(network)
    packed = model._pack()
    monkeypatch.setattr(model, "_pack", lambda: packed)
    assert farthest(network, model) < EXACT
    learn(network)
    assert farthest(network, model) > 0.01


@NEEDS_TRITON
def test_the_network_learns_as_ever() -> None:
    network = plain()
    model, x = fused(network), torch.rand(4, *SHAPE)
    before = copy.deepcopy(network.state_dict())
    with frozen(model) as attacked:
        logits = attacked(x.requires_grad_())
        assert not any(module.training for module in model.modules())
        with pytest.raises(RuntimeError, match=r"not require grad|not have been used"):
            torch.autograd.grad(logits.sum(), list(network.parameters()))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert torch.equal(model(x), network(x))


@NEEDS_TRITON
def test_an_attack_ends_at_the_same_images() -> None:
    network = plain()
    x, y, noise = torch.rand(2, *SHAPE), torch.tensor([0, 1]), 0.25 * torch.randn(2, 2, *SHAPE)
    how: dict[str, Any] = {"steps": 3, "radius": 0.5}
    mine, its = (
        adversarial_images(model, x, y, noise, **how) for model in (fused(network), network)
    )
    assert (its - x).norm() > 0.1
    torch.testing.assert_close(mine, its, atol=1e-4, rtol=0.0)


@NEEDS_TRITON
def test_maps_of_activations_hook_into_the_network_itself() -> None:
    network, x = plain(), torch.rand(2, *SHAPE)
    model = fused(network)
    assert torch.equal(activation_map(model, x), activation_map(network, x))
    assert not model.attacked


@NEEDS_TRITON
def test_nothing_but_shapes_decides_what_the_device_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """All is packed and launched on "meta", whose tensors have no numbers that one could ask."""
    from rszoo.networks.fused import launching

    network = resnet(SHAPE)
    model = fused(network)
    with frozen(model):
        pass  # it is tried here, beside the network, which asks for numbers
    network.to("meta")
    launched: list[Any] = []
    monkeypatch.setattr(
        launching, "_launch", lambda kernel, *given, **how: launched.append(kernel)
    )
    monkeypatch.setattr(torch, "autocast", lambda *given, **how: nullcontext())  # meta has none
    meta = torch.device("meta")
    x, y = torch.rand(4, *SHAPE, device=meta), torch.zeros(4, dtype=torch.long, device=meta)
    noise = torch.randn(2, 4, *SHAPE, device=meta)
    with OfTheDevice() as mode:
        adversarial_images(model, x, y, noise, steps=2, radius=0.5)
    assert mode.elsewhere == []
    assert len(launched) == 2 * (9 + 9)  # convolutions there and back


# Trainings.


def learner() -> nn.Module:
    torch.manual_seed(0)
    return plain(channels=1, classes=10)


def training(name: str, **options: Any) -> Training:
    return Training(method=method_named(name), network=learner, **options)


@NEEDS_TRITON
def test_a_training_is_the_same_up_to_rounding_and_says_so(tmp_path: Path) -> None:
    library, kernels = training("adversarial"), training("adversarial", fused=True)
    state, theirs = kernels.start(), library.start()
    losses = kernels.losses(state, Calls(), epochs=1)
    assert losses == pytest.approx(library.losses(theirs, epochs=1), rel=1e-4)
    for mine, its in zip(tensors(state).values(), tensors(theirs).values(), strict=True):
        torch.testing.assert_close(mine, its, atol=1e-3, rtol=1e-2)
    assert (state.fused, theirs.fused) == (True, False)
    save_checkpoint(tmp_path / "a.pt", state, identity={})
    resumed = kernels.start()
    load_checkpoint(tmp_path / "a.pt", resumed, identity={})
    assert resumed.fused


@NEEDS_TRITON
def test_without_an_attack_nothing_is_tried() -> None:
    chosen = training("gaussian", fused=True)
    state = chosen.start()
    assert chosen.losses(state, epochs=1) == training("gaussian").losses(chosen.start(), epochs=1)
    assert not state.fused


@pytest.fixture
def by_torch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is evaluated by PyTorch: quick, where it is not about kernels."""

    class Instead:
        def __init__(self, plan: Plan, **how: object) -> None:
            self.logits = partial(by_torch, plan)

    monkeypatch.setattr("rszoo.networks.fused.gradient.GradientEngine", Instead)


@NEEDS_TRITON
@pytest.mark.usefixtures("by_torch_alone", "quick_stores")
@pytest.mark.parametrize("option", ["--fused", "--no-fused"])
def test_a_bundle_and_its_run_say_whether_attacks_were_fused(
    option: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    given = ["adversarial", "network={name: cifar_resnet, depth: 8}", "weights.attack_steps=1"]
    how = ["train.epochs=1", "train.batch_size=512", "--device", "cpu", "--precision", "float32"]
    done = CliRunner().invoke(app, ["train", *given, *how, option, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    (folder,) = tmp_path.glob("digits-adversarial*")
    origin = open_bundle(folder).manifest.origin
    assert origin.mlflow_run is not None
    assert origin.training.fused == (option == "--fused")
    tags = (
        mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_run(origin.mlflow_run).data.tags
    )
    assert tags["fused"] == str(origin.training.fused).lower()
    assert tags["captured"] == "false"


# Where kernels are used.


def chosen(network: nn.Module, wanted: bool | None, **how: Any) -> Attackable | None:
    options = {"input_shape": SHAPE, "precision": "float32", "device": CPU, "on_obstacle": print}
    return attackable(network, wanted, **options | how)


def test_where_attacks_are_left_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    network = plain()
    assert chosen(network, None) is None
    assert chosen(network, False) is None
    cuda: dict[str, Any] = {"device": torch.device("cuda")}
    assert chosen(network, None, **cuda) is None  # in float32
    cuda["precision"] = "bfloat16"
    assert chosen(network, False, **cuda) is None
    monkeypatch.setattr(attackable_module, "check_machine", lambda device, precision: None)
    assert isinstance(chosen(network, None, **cuda), Attackable)
    for other in (nn.Linear(3, 4), with_other_channels()):
        assert chosen(other, None, **cuda) is None
        with pytest.raises(
            RszooError, match=r"^attacks on the network cannot be .*; --no-fused, o"
        ):
            chosen(other, True)


def with_other_channels() -> nn.Module:
    """Return a network whose convolution has 12 channels."""
    layers = (nn.Conv2d(3, 12, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(12, 4))


def test_a_machine_without_kernels_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_spec", lambda name: name)
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(RszooError, match=r"fused kernels here: expected a CUDA device, got 'cpu'"):
        chosen(plain(), True)
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    with pytest.raises(RszooError, match="expected Triton"):
        chosen(plain(), True)


@NEEDS_TRITON
@pytest.mark.usefixtures("by_torch_alone")
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda plan, x: by_torch(plan, x) + x.sum(), "expected the logits of the network, got a"),
        (
            lambda plan, x: by_torch(plan, x).detach() + 0.0 * x.sum(),
            "expected the gradient of the network, got a difference of 1",
        ),
        (lambda plan, x: 1 / 0, "expected kernels that run, got division by zero"),
    ],
)
def test_kernels_that_do_not_work_are_left_alone(
    wrong: Callable[[Plan, Tensor], Tensor], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rszoo.networks.fused import gradient

    network, notes = plain(), list[str]()
    monkeypatch.setattr(
        gradient.GradientEngine,
        "__init__",
        lambda engine, plan, **how: setattr(engine, "plan", plan),
    )
    monkeypatch.setattr(
        gradient.GradientEngine, "logits", lambda engine, x: wrong(engine.plan, x), raising=False
    )
    model = Attackable(network, SHAPE, "float32", on_obstacle=notes.append)
    for _ in range(2):
        with frozen(model) as attacked:
            assert attacked is network
    assert len(notes) == 1
    assert notes[0].startswith(said)
    assert not model.attacked
    with pytest.raises(RszooError, match=f"{said}.*--no-fused"), frozen(fused(network)):
        pass

"""Captured steps are the steps: the capture itself, which needs a GPU, is a plain call here.

The call is made with the arguments of the capture: a graph sees no others either. On a GPU,
test_captured_gpu.py does the same with real graphs.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from captured_trainings import (
    Training,
    learner,
    method_named,
    per_example,
    tensors,
)
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from typer.testing import CliRunner

from rszoo import methods
from rszoo.errors import RszooError
from rszoo.hub.bundle import open_bundle
from rszoo.methods import Method
from rszoo.networks import cuda_graphs
from rszoo.training import setting as settings
from rszoo.training.captured import Captured
from rszoo.training.distributed import Processes
from rszoo.training.observer import Observer
from rszoo.training.setting import Setting
from rszoo.training.step import Step
from rszoo_cli import app

CPU = torch.device("cpu")


@dataclass
class Calls:
    """Takes steps by calling them, and counts what a device would have been asked for."""

    possible: bool = True
    launched: list[bool] = field(default_factory=list)
    captured: int = 0

    def launch(self, step: Callable[[], None], *, watched: bool) -> bool:
        self.launched.append(watched)
        step()
        return self.possible or not watched

    def capture(self, step: Callable[[], None]) -> Callable[[], None]:
        self.captured += 1
        return step


every_method = pytest.mark.parametrize("name", methods.names())


def training(name: str, **options: Any) -> Training:
    return Training(method=method_named(name), kind=methods.trains(name), **options)


def check_the_same(training: Training, path: Path) -> None:
    """Check an interrupted training with captures against an uninterrupted one without."""
    plain = training.start()
    losses = training.losses(plain)
    state, captured = training.interrupted(Calls, path)
    assert captured == losses
    assert state.captured
    assert not plain.captured
    mine, theirs = tensors(state), tensors(plain)
    assert mine.keys() == theirs.keys()
    assert [key for key in mine if not torch.equal(mine[key], theirs[key])] == []


@every_method
def test_losses_weights_and_the_optimiser_are_those_of_plain_steps(
    name: str, tmp_path: Path
) -> None:
    check_the_same(training(name), tmp_path / "checkpoint.pt")


def test_so_they_are_with_momentum(tmp_path: Path) -> None:
    check_the_same(training("gaussian", optimizer="sgd"), tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("name", ["gaussian", "consistency", "stability"])
def test_so_they_are_with_a_noise_level_for_each_image(name: str, tmp_path: Path) -> None:
    check_the_same(training(name, sigmas=True), tmp_path / "checkpoint.pt")


@pytest.mark.parametrize(
    ("name", "launched", "captured"),
    [
        ("gaussian", [False, False, True], 1),
        ("macer", [False, False, True] * 2, 2),  # deferred for six steps
        ("smoothadv", [False] * 6 + [False, False, True], 1),  # a warm-up of six steps
    ],
)
def test_a_phase_is_captured_after_three_steps(
    name: str, launched: list[bool], captured: int
) -> None:
    graphs, chosen = Calls(), training(name)
    chosen.losses(chosen.start(), graphs)
    assert graphs.launched == launched
    assert graphs.captured == captured


def test_what_cannot_be_captured_is_launched_to_the_end() -> None:
    graphs, chosen = Calls(possible=False), training("macer")
    state, plain = chosen.start(), chosen.start()
    assert chosen.losses(state, graphs) == chosen.losses(plain)
    assert graphs.launched == [False, False, True] + [False] * 13
    assert not graphs.captured
    assert not state.captured


def scaled(network: nn.Module, x: Tensor, y: Tensor, *, sigma: float, progress: float) -> Tensor:
    return progress * nn.functional.cross_entropy(network(x), y)


def test_a_loss_of_the_progress_is_not_captured() -> None:
    honest = Training(method=Method(name="scaled", loss=scaled))
    graphs = Calls()
    assert honest.losses(honest.start(), graphs) == honest.losses(honest.start())
    assert not graphs.captured


def test_a_phase_that_is_not_true_is_found_by_these_tests() -> None:
    false = Training(method=Method(name="scaled", loss=scaled, phase=lambda progress: None))
    assert false.losses(false.start(), Calls()) != false.losses(false.start())


def test_a_loss_that_is_not_finite_is_noticed() -> None:
    values = iter([1.0] * 5 + [float("nan")] * 20)

    def loss(network: nn.Module, x: Tensor, y: Tensor, **_: float) -> Tensor:
        return network(x).square().mean() * next(values)

    chosen = Training(method=Method(name="nan", loss=loss, phase=lambda progress: None))
    with pytest.raises(RszooError, match=r"expected a finite loss, got nan by step 6 \(epoch 2\)"):
        chosen.losses(chosen.start(), Calls())


def test_the_optimiser_may_be_captured_then_and_not_else() -> None:
    chosen = training("gaussian")
    state = chosen.start()
    (group,) = state.optimizer.param_groups
    seen: list[bool] = []

    class Asking(Calls):
        def launch(self, step: Callable[[], None], *, watched: bool) -> bool:
            seen.append(group["capturable"])
            return super().launch(step, watched=watched)

        def capture(self, step: Callable[[], None]) -> Callable[[], None]:
            seen.append(group["capturable"])
            return super().capture(step)

    chosen.losses(state, Asking(), epochs=1)
    assert seen == [False, False, False, True]
    assert not group["capturable"]


def test_the_batch_is_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[tuple[int, ...]] = []

    def gradients(step: Step, batch: list[Tensor], *, progress: float) -> None:
        places.append(tuple(tensor.data_ptr() for tensor in batch))

    monkeypatch.setattr(Step, "gradients", gradients)
    chosen = training("cat_rs")
    step = Step.of(chosen.start(), chosen.method, chosen.spec, sigma=0.25, precision="float32")
    captured = Captured(step, Calls())
    for _ in range(6):
        captured([torch.rand(3) for _ in range(3)], progress=0.5, lr=0.1)
    assert len(places) == 6
    assert len(set(places)) == 1


@pytest.mark.parametrize(("options", "captured"), [([], True), (["--no-capture"], False)])
def test_a_bundle_says_whether_its_steps_were_captured(
    options: list[str],
    captured: bool,
    quick_stores: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(Setting, "graphs", lambda self, *_: Calls() if self.capture else None)
    given = ["gaussian", "--sigma", "0.25", "train.epochs=1", "--device", "cpu", *options]
    done = CliRunner().invoke(app, ["train", *given, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    origin = open_bundle(tmp_path / "digits-gaussian-0.25").manifest.origin
    assert origin.training is not None
    assert origin.training.captured == captured


# What methods promise.


def value_of(name: str, *, progress: float | None) -> float:
    method, kind = method_named(name), methods.trains(name)
    model = learner(kind, CPU)
    x = torch.rand(8, 1, 8, 8)
    y = model.eval()(x).argmax(1)  # losses of images that are right have all their terms
    model.train()
    extra = [per_example(8, CPU)[taken] for taken in method.takes]
    torch.manual_seed(1)
    return method.loss(model, x, y, *extra, sigma=0.25, progress=progress).item()


@every_method
def test_a_loss_does_not_turn_on_the_progress_within_a_phase(name: str) -> None:
    method = method_named(name)
    assert method.phase is not None  # all of ours are captured
    found: dict[object, set[float]] = {}
    for progress in (0.05, 0.1, 0.4, 0.4000001, 0.6, 1.0):
        found.setdefault(method.phase(progress), set()).add(value_of(name, progress=progress))
    assert [values for values in found.values() if len(values) != 1] == []
    if len(found) == 1:  # it is not even looked at
        assert value_of(name, progress=None) == value_of(name, progress=0.5)
    else:
        assert len(set.union(*found.values())) == len(found)


class OfTheDevice(TorchDispatchMode):
    """Notes the tensors that are made elsewhere than on the device, which is torch's "meta".

    A tensor of it has no numbers: who asks for one, or for the places of those that are true, or
    in an `if`, is refused.
    """

    def __init__(self) -> None:
        super().__init__()
        self.elsewhere: list[str] = []

    def __torch_dispatch__(  # type: ignore[override]
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[Tensor, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        if func is torch.ops.aten.binomial.default:  # meta has none
            return torch.empty_like(args[0])
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple | list) else [made]:
            if isinstance(one, Tensor) and one.device.type != "meta":
                self.elsewhere.append(str(func))
        return made


def check_left_alone(method: Method, kind: str) -> None:
    """Check that a step asks the device for no number and takes none from elsewhere."""
    meta = torch.device("meta")
    network = learner(kind, meta)
    x, y = torch.rand(8, 1, 8, 8, device=meta), torch.zeros(8, dtype=torch.long, device=meta)
    extra = [per_example(8, meta)[taken] for taken in method.takes]
    with OfTheDevice() as mode:
        loss = method.loss(network, x, y, *extra, sigma=0.25, progress=1.0)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    assert mode.elsewhere == []


@every_method
def test_a_step_leaves_the_device_alone(name: str) -> None:
    check_left_alone(method_named(name), methods.trains(name))


def asks(network: nn.Module, x: Tensor, y: Tensor, **_: float) -> Tensor:
    loss = network(x).square().mean()
    return loss * 2 if loss > 1 else loss


def draws_elsewhere(network: nn.Module, x: Tensor, y: Tensor, **_: float) -> Tensor:
    return network(x).square().mean() * torch.rand(()).item()


def chooses(network: nn.Module, x: Tensor, y: Tensor, **_: float) -> Tensor:
    return network(x)[y == 0].square().mean()


@pytest.mark.parametrize("loss", [asks, draws_elsewhere, chooses])
def test_a_step_that_does_not_is_found(loss: Callable[..., Tensor]) -> None:
    with pytest.raises((RuntimeError, NotImplementedError, AssertionError)):
        check_left_alone(Method(name="asking", loss=loss), "smoothed")


# What a device is asked.


@pytest.fixture
def debugged(monkeypatch: pytest.MonkeyPatch) -> list[int | str]:
    """The modes of debugging that torch is set to; the device has none by itself."""
    modes: list[int | str] = []
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    return modes


def waits() -> None:
    warnings.warn("called a synchronizing CUDA operation (Triggered internally)", stacklevel=1)


def warns() -> None:
    warnings.warn("something else", stacklevel=1)


@pytest.mark.parametrize(
    ("step", "found"),
    [
        (waits, "it waits for the device, in test_captured.py:"),
        (lambda: torch.rand(1), "it draws random numbers on the CPU"),
        (warns, None),
    ],
)
def test_a_watched_step(
    step: Callable[[], None], found: str | None, debugged: list[int | str]
) -> None:
    obstacle = cuda_graphs._obstacle(step)
    assert (obstacle or "").startswith(found) if found else obstacle is None
    assert debugged == ["warn", 0]


class Notes(Observer):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize(
    ("method", "changed", "captures", "why"),
    [
        (method_named("gaussian"), {}, True, None),
        (method_named("gaussian"), {"device": CPU}, False, None),
        (method_named("gaussian"), {"capture": False}, False, None),
        (
            method_named("gaussian"),
            {"processes": Processes(rank=0, world=2)},
            False,
            "several processes train together",
        ),
        (
            Method(name="mine", loss=scaled),
            {},
            False,
            "the loss of mine may change with every step",
        ),
    ],
)
def test_when_steps_are_captured(
    method: Method,
    changed: dict[str, Any],
    captures: bool,
    why: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(settings, "CudaGraphs", lambda device, on_obstacle: Calls())
    usual = {"device": torch.device("cuda"), "capture": True, "processes": Processes()}
    images, observer = None, Notes()
    setting = Setting(
        images=images,  # type: ignore[arg-type]
        test_images=images,  # type: ignore[arg-type]
        precision="float32",
        fused=None,
        observer=observer,
        state=tmp_path,
        **(usual | changed),
    )
    assert (setting.graphs("digits-mine-0.25", method) is not None) == captures
    said = "digits-mine-0.25: its steps are not replayed from a CUDA graph: "
    assert observer.notes == ([] if why is None else [said + why])

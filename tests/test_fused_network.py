"""Which networks are fused, where, and what logs say of it."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fused_networks import NEEDS_TRITON, distance, resnet, with_statistics
from torch import Tensor, nn
from typer.testing import CliRunner

from rszoo import data, networks
from rszoo.certificates.kinds import protocol_of
from rszoo.errors import RszooError
from rszoo.evaluation.certify import protocol
from rszoo.evaluation.engine import Engine
from rszoo.evaluation.job import LogFile, Subject, classifiers_for
from rszoo.evaluation.protocol import continued, write_protocol
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.origin import Origin
from rszoo.hub.writing import write_bundle
from rszoo.networks.execution import evaluation_mode
from rszoo.networks.fused import machine
from rszoo.networks.fused import network as fused_module
from rszoo.networks.fused.network import Fused, fused_network
from rszoo.networks.fused.plan import Plan, Unsupported, by_torch
from rszoo.networks.fused.tracing import planned
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.execution import Execution
from rszoo.smoothing.interface import Budget
from rszoo_cli import app

SHAPE = (3, 8, 8)
OPTIONS: dict[str, Any] = {"sigma": 0.5, "num_classes": 4, "input_shape": SHAPE, "device": "cpu"}


class Plain(nn.Module):
    """Convolutions with and without normalisation and bias, a flattened average."""

    def __init__(self, *, relu: Callable[[Tensor], Tensor], pool: nn.Module) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.two = nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False)
        self.relu = relu
        self.pool = pool
        self.last = nn.Linear(32, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.one(x)))
        return self.last(torch.flatten(self.pool(self.relu(self.two(x))), 1))


class Preactivated(nn.Module):
    """A sum that is normalised: a residual network of another kind."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 16, 3, padding=1)
        self.two = nn.Conv2d(16, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.last = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x)
        x = self.norm(x + self.two(x)).relu()
        return self.last(x.mean((2, 3)))


class Asking(nn.Module):
    """What it does depends on the numbers that it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last((x if x.sum() > 0 else -x).mean((2, 3)))


class Remembering(Plain):
    """Keeps what it first computed, as some networks keep tables."""

    def __init__(self) -> None:
        super().__init__(relu=torch.relu, pool=nn.AdaptiveAvgPool2d(1))
        self.kept: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        self.kept = logits if self.kept is None else self.kept
        return logits


def hooked() -> nn.Module:
    """Return a network with a hook at a layer, of which no trace tells."""
    network = resnet()
    network[1].fc.register_forward_hook(lambda layer, x, y: 2.0 * y)  # type: ignore[index]
    return network


PLANNED = {
    "cifar_resnet": (resnet, 9),
    "functions": (lambda: Plain(relu=torch.relu, pool=nn.AdaptiveAvgPool2d(1)), 2),
    "layers": (lambda: Plain(relu=nn.ReLU(inplace=True), pool=nn.AdaptiveAvgPool2d((1, 1))), 2),
}
NOT_PLANNED = {
    "lenet": (lambda: built("lenet", (1, 16, 16)), "got a network that cannot be traced"),
    "small_cnn": (lambda: built("small_cnn", SHAPE), "got a network with 'unfold'"),
    "wide kernels": (
        lambda: nn.Sequential(nn.Conv2d(3, 16, 5, padding=2)),
        r"got a network with Conv2d\(3, 16, kernel_size=\(5, 5\)",
    ),
    "groups": (
        lambda: nn.Sequential(nn.Conv2d(3, 15, 3, padding=1, groups=3)),
        r"got a network with Conv2d\(3, 15.*groups=3",
    ),
    "no linear layer": (
        lambda: nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.AdaptiveAvgPool2d(1)),
        "got a network that does not end with one linear layer",
    ),
    "a sum that is normalised": (Preactivated, "got a network with batch normalisation of some"),
    "hooks": (hooked, "got a network that does more than its layers say"),
    "questions": (Asking, "got a network that cannot be traced"),
    "no images": (lambda: nn.Linear(3, 4), "got"),
}


def built(name: str, shape: tuple[int, int, int]) -> nn.Module:
    return networks.build(name, input_shape=shape, num_classes=4)


@pytest.mark.parametrize("name", PLANNED)
def test_a_plan_has_the_logits_of_its_network(name: str) -> None:
    make, steps = PLANNED[name]
    network = with_statistics(make())
    plan, x = planned(network.train(), SHAPE), torch.rand(3, *SHAPE)
    assert network.training  # as it was
    assert len(plan.steps) == steps
    with torch.no_grad(), evaluation_mode(network):
        assert distance(by_torch(plan, x), network(x)) < 1e-5


def test_a_network_remembers_nothing_of_its_trace() -> None:
    network = Remembering().eval()
    planned(network, SHAPE)
    assert isinstance(network.kept, Tensor)  # of the images that plan and network are compared on


@pytest.mark.parametrize("name", NOT_PLANNED)
def test_what_is_not_planned(name: str) -> None:
    make, message = NOT_PLANNED[name]
    network = make()
    shape = (1, 16, 16) if name == "lenet" else SHAPE
    with pytest.raises(Unsupported, match=f"^expected a network of 3x3 .*{message}"):
        planned(network, shape)
    cpu = torch.device("cpu")
    how: dict[str, Any] = {"input_shape": shape, "precision": "float32", "device": cpu}
    assert fused_network(network, None, **how) is None
    if name != "no images":
        with pytest.raises(RszooError, match=r"^the network cannot be evaluated by fused "):
            fused_network(network, True, **how)


@pytest.fixture
def by_torch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is evaluated by torch: quick, where it is not about kernels."""

    class Instead:
        def __init__(self, plan: Plan, input_shape: tuple[int, ...], **how: object) -> None:
            self.plan = plan

        def logits(self, x: Tensor) -> Tensor:
            return by_torch(self.plan, x)

    monkeypatch.setattr("rszoo.networks.fused.engine.Engine", Instead)


@NEEDS_TRITON
def test_a_fused_classifier_certifies_the_same_and_says_that_it_is_fused() -> None:
    network, x = resnet((3, 4, 4)), torch.rand(3, 4, 4)
    options = OPTIONS | {"input_shape": (3, 4, 4)}
    plain = SmoothedClassifier(network, **options)
    fused = SmoothedClassifier(network, **options, fused=True)
    assert (plain.fused, fused.fused) == (False, True)
    assert fused.certify(x, n0=2, n=2, seed=1) == plain.certify(x, n0=2, n=2, seed=1)
    said = [
        protocol(one, Budget(), model={}, inputs={}, versions={}).values()
        for one in (plain, fused)
    ]
    assert said[1] == said[0] | {"fused": True}
    assert [protocol_of(values).all_fused for values in said] == [False, True]


@NEEDS_TRITON
def test_weights_that_change_are_noticed_and_travel() -> None:
    network, x = resnet((3, 4, 4)), torch.rand(2, 3, 4, 4)
    fused = Fused(network, (3, 4, 4), "float32").eval()
    before = fused(x)
    with torch.no_grad():
        assert distance(before, network(x)) < 1e-5
        network.load_state_dict(resnet((3, 4, 4)).state_dict())
        with evaluation_mode(fused):  # as counting does
            changed = fused(x)
        assert distance(changed, network(x)) < 1e-5 < distance(changed, before)
    assert torch.equal(pickle.loads(pickle.dumps(fused))(x), changed)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    network = resnet()
    with pytest.raises(RszooError, match="expected input_shape, got None; --no-fused"):
        SmoothedClassifier(network, **OPTIONS | {"input_shape": None}, fused=True)
    with pytest.raises(ValueError, match="expected either compile or fused, got both"):
        SmoothedClassifier(network, **OPTIONS, fused=True, compile=True)
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    with pytest.raises(RszooError, match=r"expected Triton \(pip install 'rszoo\[fused\]'\)"):
        SmoothedClassifier(network, **OPTIONS, fused=True)
    monkeypatch.setattr(machine, "find_spec", lambda name: name)
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    with pytest.raises(RszooError, match="expected a CUDA device, got 'cpu'"):
        SmoothedClassifier(network, **OPTIONS, fused=True)


@NEEDS_TRITON
def test_kernels_that_do_not_work_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from rszoo.networks.fused.engine import Engine as Kernels

    network = resnet()
    how: dict[str, Any] = {"input_shape": SHAPE, "precision": "float32"}
    monkeypatch.setattr(Kernels, "logits", lambda self, x: torch.rand(len(x), 4))
    with pytest.raises(RszooError, match="expected the logits of the network, got a difference"):
        fused_network(network, True, device=torch.device("cpu"), **how)

    def failing(self: Kernels, x: Tensor) -> Tensor:
        raise RuntimeError("Failed to find C compiler\nand more")

    monkeypatch.setattr(Kernels, "logits", failing)
    with pytest.raises(RszooError, match="expected kernels that run, got Failed to find C compi"):
        fused_network(network, True, device=torch.device("cpu"), **how)
    # By themselves they are chosen on a GPU in bfloat16, and left alone where they do not work.
    how["precision"] = "bfloat16"
    monkeypatch.setattr(fused_module, "check_machine", lambda device, precision: None)
    with pytest.warns(UserWarning, match="fused kernels are not used: expected kernels that run"):
        assert fused_network(network, None, device=torch.device("cuda"), **how) is None
    assert fused_network(network, False, device=torch.device("cuda"), **how) is None


@NEEDS_TRITON
@pytest.mark.usefixtures("by_torch_alone")
def test_a_log_goes_on_by_the_kernels_that_began_it(tmp_path: Path) -> None:
    network, log = resnet(), tmp_path / "a.tsv"

    def classifier(execution: Execution) -> SmoothedClassifier:
        how = OPTIONS | vars(execution)
        return SmoothedClassifier(network, **how | {"device": "cpu", "precision": "float32"})

    subject = Subject(classifier=classifier, model={"name": "a"})
    to = LogFile(path=log, resume=True)
    for fused in (True, False):
        (began,) = classifiers_for(subject, Execution(fused=fused), Engine(), draws=1, log=None)
        stated = protocol(began, Budget(), model={}, inputs={}, versions={})
        write_protocol(log, stated)
        (goes_on,) = classifiers_for(subject, Execution(), Engine(), draws=1, log=to)
        assert isinstance(goes_on, SmoothedClassifier)
        assert goes_on.fused is fused
        again = protocol(goes_on, Budget(), model={}, inputs={}, versions={})
        assert continued(log, again, []) == stated
        (other,) = classifiers_for(subject, Execution(fused=not fused), Engine(), draws=1, log=to)
        with pytest.raises(RszooError, match=r"--fused: (yes|no) in the log, (yes|no) now"):
            continued(log, protocol(other, Budget(), model={}, inputs={}, versions={}), [])


@NEEDS_TRITON
@pytest.mark.usefixtures("by_torch_alone")
def test_the_command_line_certifies_resumes_and_verifies_by_the_same_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = data.load("digits", "test")
    architecture = {"name": "cifar_resnet", "depth": 8}
    network = networks.build("cifar_resnet", input_shape=images.shape, num_classes=10, depth=8)
    config = NetworkConfig.of(
        images,
        name="digits-gaussian-0.25",
        method="gaussian",
        dataset="digits",
        architecture=architecture,
        sigma=0.25,
        trained_precision="float32",
    )
    network = with_statistics(network)
    origin = Origin(seed=0, parents=())
    folder, log = tmp_path / config.name, tmp_path / "a.tsv"
    write_bundle(folder, config=config, network=network, recipe="", origin=origin)

    def run(*arguments: str, ends: int = 0) -> str:
        result = CliRunner().invoke(app, [*arguments, "--model", str(folder), "--device", "cpu"])
        assert result.exit_code == ends, result.output
        return str(result.exception) if ends else result.output

    how = ("--out", str(log), "--n", "60", "--n0", "10", "--skip", "1", "--precision", "float32")
    run("certify", *how, "--fused", "--limit", "1")
    assert json.loads(log.with_suffix(".json").read_text())["fused"] is True
    run("certify", *how, "--resume", "--limit", "2")
    assert len(log.read_text().splitlines()) == 3
    refused = run("certify", *how, "--resume", "--limit", "2", "--no-fused", ends=1)
    assert "--fused: yes in the log, no now" in refused
    assert "0 of 2 rows" not in run("verify", str(log), "--n", "50")
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    assert "expected Triton" in run("verify", str(log), "--n", "50", ends=1)

"""Networks of one's own: what holds their logits, functions, and those that packages register."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from sealing import seal
from torch import Tensor, nn

from rszoo import SmoothedClassifier, networks
from rszoo.errors import RecipeError, RszooError
from rszoo.hub.bundle import open_bundle
from rszoo.networks import registered
from rszoo.networks.logits import as_network, logits_in
from rszoo.smoothing.mixed import MixedClassifier
from rszoo.training.recipes.files import load_recipe


@dataclass
class Answer:
    logits: Tensor
    loss: None = None


class Named(NamedTuple):
    logits: Tensor
    aux: Tensor


class Answering(nn.Module):
    """A linear network that wraps its logits."""

    def __init__(self, wrap: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.wrap = wrap

    def forward(self, x: Tensor) -> object:
        return self.wrap(self.linear(x.flatten(1)))


WRAPS: dict[str, Callable[[Tensor], object]] = {
    "tensor": lambda logits: logits,
    "dict": lambda logits: {"loss": logits.mean(), "logits": logits},
    "dataclass": Answer,
    "named tuple": lambda logits: Named(logits, -logits),
    "tuple": lambda logits: (logits, -logits),
}


def smoothed(network: object, **options: object) -> SmoothedClassifier:
    values = {"sigma": 0.5, "num_classes": 3, "device": "cpu", "precision": "float32", **options}
    return SmoothedClassifier(network, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrap", WRAPS)
def test_logits_are_found(wrap: str) -> None:
    x = torch.rand(2, 1, 2, 2)
    network = Answering(WRAPS[wrap])
    plain = Answering(WRAPS["tensor"])
    plain.load_state_dict(network.state_dict())
    classifier = smoothed(network)
    assert classifier.network is network
    given = {"n": 200, "seed": 1}
    assert classifier.certify_batch(x, **given) == smoothed(plain).certify_batch(x, **given)

    mixes = [MixedClassifier(one, smoothed(one), weight=0.8) for one in (network, plain)]
    assert len({repr(mix.predict_batch(x, n=50, seed=1)) for mix in mixes}) == 1


def test_a_function_is_a_network() -> None:
    weights = torch.randn(3, 4)
    x = torch.rand(1, 2, 2)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False))
    linear[1].weight.data = weights
    found = smoothed(lambda x: x.flatten(1) @ weights.T).certify(x, n=200, seed=1)
    assert found == smoothed(linear).certify(x, n=200, seed=1)


@pytest.mark.parametrize(
    ("answer", "described"),
    [
        ({"out": torch.zeros(1)}, r"a mapping with the keys \['out'\]"),
        (np.zeros((1, 3)), "ndarray"),
        ((1, 2), r"tuple of \['int', 'int'\]"),
        (None, "NoneType"),
        ([], r"list of \[\]"),
        (Answer(logits=None), "Answer"),  # type: ignore[arg-type]
    ],
)
def test_answers_without_logits(answer: object, described: str) -> None:
    with pytest.raises(RszooError, match=rf"expected logits \[B, classes\].* got {described}"):
        logits_in(answer)
    with pytest.raises(RszooError, match=described):
        smoothed(lambda x: answer).certify(torch.rand(1, 2, 2), n=10)


@pytest.mark.parametrize("given", [nn.Linear, "resnet18", None, {}])
def test_what_is_no_network(given: object) -> None:
    with pytest.raises(RszooError, match=r"expected a network \(torch.nn.Module\), or a function"):
        as_network(given)


# --- networks of packages


BUILD = """
from typing import Annotated
from annotated_types import Ge
from torch import nn

class Net(nn.Sequential):
    pass

def build(*, input_shape, num_classes, width: Annotated[int, Ge(1)] = 4) -> nn.Module:
    size = input_shape[0] * input_shape[1] * input_shape[2]
    return Net(nn.Flatten(), nn.Linear(size, width), nn.ReLU(), nn.Linear(width, num_classes))
"""


def install(folder: Path, package: str, points: str, source: str = BUILD) -> None:
    """Put a package where Python finds it, as an installer does."""
    about = folder / f"{package}-1.5.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.5\n")
    (about / "entry_points.txt").write_text(f"[{registered.GROUP}]\n{points}\n")
    (folder / f"{package}.py").write_text(source)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that registers `perceptron`; its name is new, as modules stay loaded."""
    name = f"nets_{tmp_path.name}"
    install(tmp_path / "site", name, f"perceptron = {name}:build\nlenet = {name}:nothing")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return name


def test_a_network_of_a_package(package: str) -> None:
    assert registered.names() == ["lenet", "perceptron"]
    assert package not in sys.modules
    found = networks.package_of("perceptron")
    assert found is not None
    assert (found.name, found.version) == (package, "1.5")
    network = networks.build("perceptron", input_shape=(1, 2, 2), num_classes=3, width=5)
    assert [tuple(p.shape) for p in network.parameters()] == [(5, 4), (5,), (3, 5), (3,)]
    with pytest.raises(RszooError, match="expects another width, got 0"):
        networks.build("perceptron", input_shape=(1, 2, 2), num_classes=3, width=0)


def test_a_recipe_may_name_it(package: str) -> None:
    file = load_recipe("gaussian")
    name = "network.name=perceptron"
    recipe = file.resolve(dataset="digits", sigma=0.5, overrides=[name])
    assert recipe.network.model_dump() == {"name": "perceptron", "width": 4}
    with pytest.raises(RecipeError, match="expected an integer >= 1, got 0"):
        file.resolve(dataset="digits", sigma=0.5, overrides=[name, "network.width=0"])


def test_no_package_takes_the_name_of_a_network_of_rszoo(package: str) -> None:
    assert networks.package_of("lenet") is None
    assert networks.build("lenet", input_shape=(1, 28, 28), num_classes=3)[1].fc2.out_features == 3


def test_two_packages_of_one_name(package: str, tmp_path: Path) -> None:
    install(tmp_path / "site", f"{package}_too", f"perceptron = {package}_too:build")
    with pytest.raises(RszooError, match="expected one installed package that registers it"):
        networks.build("perceptron", input_shape=(1, 2, 2), num_classes=3)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("raise RuntimeError('no GPU')", "got RuntimeError: no GPU"),
        ("build = 3", "expected a function build"),
        ("", "got AttributeError"),
        ("def build(*, input_shape, num_classes): raise ValueError('odd')", "cannot be built"),
    ],
)
def test_packages_that_fail(
    source: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"broken_{tmp_path.name}"
    install(tmp_path / "site", name, f"broken = {name}:build", source)
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(RszooError, match=complaint):
        networks.build("broken", input_shape=(1, 2, 2), num_classes=3)


def test_a_bundle_of_a_package_that_is_missing(constant_bundle: Path) -> None:
    path = constant_bundle / "config.json"
    config = json.loads(path.read_text())
    config["architecture"] = {"name": "perceptron"}
    config["library"] = {"name": "their-nets", "version": "1.5"}
    path.write_text(json.dumps(config))
    bundle = open_bundle(seal(constant_bundle))
    with pytest.raises(RszooError, match=r"of the package their-nets 1.5, which registers none"):
        bundle.network()

"""torch.hub.load from a checkout, as its users call it."""

import importlib.util
import inspect
import re
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import cast

import pytest
import torch
from hub_server import RunningHub

from rszoo import HubError, SmoothedClassifier, methods
from rszoo.hub import catalog
from rszoo.hub.bundle import open_bundle
from rszoo.hub.ids import HubId
from rszoo.hub.push import push

ROOT = Path(__file__).parents[1]

#: Not a router, or what else cannot certify.
CLASSIFIERS = [name for name in methods.names() if methods.trains(name) == "smoothed"]


@pytest.fixture(autouse=True)
def builtin(constant_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that one bundle comes with rszoo, under the name of each method."""
    for method in CLASSIFIERS:
        shutil.copytree(constant_bundle, tmp_path / "builtin" / f"digits-{method}-0.25")
    monkeypatch.setattr(catalog, "_builtin_folder", lambda: tmp_path / "builtin")
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path / "builtin"


def loaded(method: str, **options: object) -> SmoothedClassifier:
    return cast("SmoothedClassifier", torch.hub.load(str(ROOT), method, source="local", **options))


@pytest.mark.parametrize("method", CLASSIFIERS)
def test_a_classifier_that_is_ready(method: str) -> None:
    model = loaded(method, dataset="digits", sigma=0.25)
    assert isinstance(model, SmoothedClassifier)
    assert model.sigma == 0.25
    certificate = model.certify(torch.zeros(1, 8, 8), n0=10, n=1000)
    assert certificate.label == 3  # type: ignore[union-attr]


@pytest.mark.parametrize("method", CLASSIFIERS)
def test_the_bare_network(method: str) -> None:
    network = loaded(method, dataset="mnist", sigma=0.25, pretrained=False)
    assert isinstance(network, torch.nn.Module)
    assert network(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_the_bare_network_of_digits_is_that_of_the_bundle(builtin: Path) -> None:
    network = loaded("gaussian", dataset="digits", sigma=0.25, pretrained=False)
    assert isinstance(network, torch.nn.Module)
    trained = open_bundle(builtin / "digits-gaussian-0.25").network()
    assert network.state_dict().keys() == trained.state_dict().keys()
    assert bool(next(network.parameters()).any())  # fresh, where the bundle's are zero


def test_a_model_from_the_hub(
    hub: RunningHub, builtin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    bundle = open_bundle(builtin / "digits-gaussian-0.25")
    push(bundle, HubId("rszoo/mnist-macer-0.25"), uncertified=True)
    push(bundle, HubId("me/digits-gaussian-0.251"), uncertified=True)
    assert loaded("macer", dataset="mnist", sigma=0.25).sigma == 0.25
    model = loaded("gaussian", dataset="digits", sigma=0.251, owner="me", progress=False)
    assert model.sigma == 0.25


def test_a_model_that_is_nowhere(hub: RunningHub) -> None:
    with pytest.raises(HubError, match=r"has no model rszoo/digits-gaussian-7\.00, or it"):
        loaded("gaussian", dataset="digits", sigma=7.0)


def test_the_entry_points_are_the_methods() -> None:
    spec = importlib.util.spec_from_file_location("hubconf_to_list", ROOT / "hubconf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # As torch.hub.list does it.
    found = [name for name, value in vars(module).items() if callable(value) and name[0] != "_"]
    assert sorted(found) == CLASSIFIERS
    for name in found:
        assert "Args:" in getattr(module, name).__doc__
        year = re.search(r"[(]([^()]*)[)]", getattr(module, name).__doc__)
        assert year is not None
        source = inspect.getdoc(import_module(f"rszoo.methods.{name}"))
        assert year[1].rpartition(", ")[2] in str(source)

"""torch.hub.load from a checkout, as its users call it."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
import torch

from rszoo import RszooError, SmoothedClassifier
from rszoo.hub import catalog
from rszoo.hub.bundle import open_bundle

ROOT = Path(__file__).parents[1]

#: Those of the bundles that come with rszoo.
METHODS = sorted({name.split("-")[1] for name in catalog.builtin_names()})


@pytest.fixture(autouse=True)
def builtin(constant_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that one bundle comes with rszoo, under the name of each method."""
    for method in METHODS:
        shutil.copytree(constant_bundle, tmp_path / "builtin" / f"digits-{method}-0.25")
    monkeypatch.setattr(catalog, "_builtin_folder", lambda: tmp_path / "builtin")
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path / "builtin"


def hub(method: str, **options: object) -> object:
    return torch.hub.load(str(ROOT), method, source="local", **options)


@pytest.mark.parametrize("method", METHODS)
def test_a_classifier_that_is_ready(method: str) -> None:
    model = hub(method, dataset="digits", sigma=0.25)
    assert isinstance(model, SmoothedClassifier)
    assert model.sigma == 0.25
    certificate = model.certify(torch.zeros(1, 8, 8), n0=10, n=1000)
    assert certificate.label == 3  # type: ignore[union-attr]


def test_the_bare_network(builtin: Path) -> None:
    network = hub("gaussian", dataset="digits", sigma=0.25, pretrained=False)
    assert isinstance(network, torch.nn.Module)
    trained = open_bundle(builtin / "digits-gaussian-0.25").network()
    assert network.state_dict().keys() == trained.state_dict().keys()
    assert bool(network(torch.rand(2, 1, 8, 8)).any())
    first = next(network.parameters())
    assert bool(first.any())  # fresh, where the bundle's are zero


def test_a_model_that_does_not_come_with_rszoo() -> None:
    with pytest.raises(RszooError) as caught:
        hub("gaussian", dataset="digits", sigma=7.0)
    assert str(caught.value).startswith("unknown builtin bundle 'builtin/digits-gaussian-7.00'")


def test_a_noise_level_between_two_models_is_not_rounded() -> None:
    with pytest.raises(RszooError) as caught:
        hub("gaussian", dataset="digits", sigma=0.251)
    assert str(caught.value).startswith("unknown builtin bundle 'builtin/digits-gaussian-0.251'")


def test_the_entry_points_are_the_methods() -> None:
    spec = importlib.util.spec_from_file_location("hubconf_to_list", ROOT / "hubconf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # As torch.hub.list does it.
    found = [name for name, value in vars(module).items() if callable(value) and name[0] != "_"]
    assert sorted(found) == METHODS
    assert all(getattr(module, name).__doc__ for name in found)

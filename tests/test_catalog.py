"""Bundles by id."""

import shutil
from pathlib import Path

import pytest
import torch

import rszoo
from rszoo import SmoothedClassifier
from rszoo.errors import IntegrityError, RszooError
from rszoo.hub import catalog
from rszoo.hub.bundle import open_bundle


@pytest.fixture
def builtin(bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that the trained bundle comes with rszoo."""
    shutil.copytree(bundle_folder, tmp_path / "builtin" / bundle_folder.name)
    monkeypatch.setattr(catalog, "_builtin_folder", lambda: tmp_path / "builtin")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "builtin"


def refused(model: str | Path) -> str:
    with pytest.raises(RszooError) as caught:
        catalog.find(model)
    return str(caught.value)


def test_a_path(bundle_folder: Path) -> None:
    assert catalog.find(bundle_folder) == open_bundle(bundle_folder)
    assert catalog.find(str(bundle_folder)) == open_bundle(bundle_folder)


def test_a_builtin_bundle(builtin: Path) -> None:
    name = "digits-gaussian-0.25"
    assert catalog.builtin_names() == [f"builtin/{name}"]
    shutil.rmtree(builtin.parent / "runs")
    (builtin.parent / "elsewhere").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(builtin.parent / "elsewhere")
        assert catalog.find(f"builtin/{name}").path == builtin / name


def test_a_path_that_exists_wins(builtin: Path, bundle_folder: Path) -> None:
    here = Path("builtin", "mine")
    shutil.copytree(bundle_folder, here)
    assert catalog.find("builtin/mine").path == here


def test_an_unknown_builtin_bundle(builtin: Path) -> None:
    assert refused("builtin/digits-gausian-0.25") == (
        "unknown builtin bundle 'builtin/digits-gausian-0.25' (did you mean "
        "'builtin/digits-gaussian-0.25'?); expected one of ['builtin/digits-gaussian-0.25']"
    )


def test_the_name_of_a_builtin_bundle_is_suggested(builtin: Path) -> None:
    assert refused("digits-gaussian-0.25") == (
        "no such folder: 'digits-gaussian-0.25'; did you mean 'builtin/digits-gaussian-0.25'?"
    )


def test_an_unknown_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused("runs/none").startswith("cannot reach http://127.0.0.1:9 (")
    assert refused("runs/none").endswith("there is no folder 'runs/none' either")
    Path("runs").mkdir()
    assert (
        refused("runs/none") == "expected a bundle folder, got 'runs/none': no such folder; "
        "rszoo ls lists the bundles there are"
    )


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    assert refused(tmp_path) == (
        "manifest.json: expected a file, got none; "
        "the bundle is damaged or was changed by hand; fetch or make it again"
    )


def test_load_gives_a_classifier_that_is_ready(bundle_folder: Path) -> None:
    model = rszoo.load(bundle_folder, device="cpu", precision="float32")
    assert isinstance(model, SmoothedClassifier)
    assert (model.sigma, model.num_classes, model.input_shape) == (0.25, 10, (1, 8, 8))
    assert model.class_names == tuple("0123456789")
    assert model.precision == "float32"
    x = torch.rand(3, 1, 8, 8)
    assert torch.equal(model.network(x), open_bundle(bundle_folder).network()(x))
    assert not model.network.training


def test_the_bundles_in_a_folder(bundle_folder: Path) -> None:
    runs = bundle_folder.parent
    (runs / ".state").mkdir()
    (runs / "mlartifacts").mkdir()
    broken = Path(shutil.copytree(bundle_folder, runs / "digits-broken-0.25"))
    (broken / "recipe.yaml").unlink()
    shutil.copytree(bundle_folder, runs / ".digits-half-0.25.new")
    found = list(catalog.bundles_in(runs))
    assert [path.name for path, _ in found] == ["digits-broken-0.25", "digits-gaussian-0.25"]
    problem = found[0][1]
    assert isinstance(problem, IntegrityError)
    assert problem.path == "recipe.yaml"
    assert found[1][1] == open_bundle(bundle_folder)
    assert list(catalog.bundles_in(runs / "none")) == []

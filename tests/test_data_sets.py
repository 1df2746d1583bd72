"""Data sets known by name: one file each, which is all that a set needs."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mnist_files import write_mnist
from typer.testing import CliRunner

from rszoo import data
from rszoo._torchvision import import_torchvision
from rszoo.data import sets
from rszoo.errors import DataError
from rszoo.hub.card import card_files
from rszoo.hub.catalog import find
from rszoo_cli import app


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose files are data sets as well."""
    folder = tmp_path / "sets"
    folder.mkdir()
    known = set(sys.modules)
    monkeypatch.setattr(sets, "__path__", [*sets.__path__, str(folder)])
    yield folder
    for name in set(sys.modules) - known:
        if name.startswith(f"{sets.__name__}."):
            del sys.modules[name]


def copy(name: str, to: Path) -> None:
    (source,) = (Path(folder) / f"{name}.py" for folder in sets.__path__[:1])
    to.write_text(source.read_text())


@pytest.mark.parametrize("name", data.names())
def test_a_set_says_how_it_is_read(name: str) -> None:
    known = data.known_set(name)
    assert known is not None
    module = sys.modules[f"{sets.__name__}.{name}"]
    by_torchvision = known.torchvision is not None
    assert by_torchvision == bool(known.folder)
    assert by_torchvision != hasattr(module, "load")
    assert "http" in (module.__doc__ or ""), "where the set comes from"
    if known.torchvision is not None:
        assert hasattr(import_torchvision().datasets, known.torchvision)
    if known.normalization is not None:
        channels = known.shape[0]
        assert len(known.normalization.mean) == len(known.normalization.std) == channels


def test_what_is_known_of_the_digits_is_what_is_loaded() -> None:
    known, loaded = data.known_set("digits"), data.load("digits", "test")
    assert known is not None
    assert (known.shape, known.class_names) == (loaded.shape, loaded.class_names)
    assert (known.normalization, known.hub_name) == (loaded.normalization, None)


@pytest.mark.parametrize("name", ["letters", "mnist.npz", "some/mnist", ""])
def test_nothing_is_known_of_others(name: str) -> None:
    assert data.known_set(name) is None


def test_one_file_is_a_data_set(added: Path, tmp_path: Path) -> None:
    copy("fashion_mnist", added / "letters.py")
    assert "letters" in data.names()
    known = data.known_set("letters")
    assert known == data.known_set("fashion_mnist")
    assert known is not None

    with pytest.raises(
        DataError, match=r"^letters: expected torchvision's files .*FashionMNIST/raw"
    ):
        data.load("letters", "test", root=tmp_path)
    pictures = np.random.default_rng(0).integers(0, 256, (4, 28, 28), dtype=np.uint8)
    write_mnist(tmp_path / "FashionMNIST" / "raw", pictures, np.array([3, 1, 4, 1]))
    loaded = data.load("letters", "test", root=tmp_path)
    assert (loaded.name, loaded.split) == ("letters", "test")
    assert (loaded.shape, loaded.class_names) == (known.shape, known.class_names)
    assert torch.equal(loaded.labels, torch.tensor([3, 1, 4, 1]))
    assert loaded.digest == data.load("fashion_mnist", "test", root=tmp_path).digest

    shown = CliRunner().invoke(app, ["data", "letters", "--data-root", str(tmp_path), "--json"])
    assert json.loads(shown.stdout)["dataset"] == "letters"
    arguments = ["recipe", "show", "gaussian", "--dataset", "letters", "--sigma", "0.5"]
    resolved = CliRunner().invoke(app, arguments)
    assert resolved.exit_code == 0, resolved.output
    assert "\ndataset: letters\n" in resolved.stdout


def test_a_file_may_read_its_set_itself(added: Path) -> None:
    copy("digits", added / "numerals.py")
    numerals, digits = data.load("numerals", "test"), data.load("digits", "test")
    assert (numerals.name, numerals.digest) == ("numerals", digits.digest)


def test_the_card_names_the_set_as_the_hub_does(added: Path) -> None:
    source = (Path(sets.__path__[0]) / "mnist.py").read_text()
    (added / "letters.py").write_text(source.replace("ylecun/mnist", "team/letters"))
    bundle = find("builtin/digits-gaussian-0.50")
    for dataset, name in {"letters": "team/letters", "digits": "digits", "/a/b": "b"}.items():
        config = bundle.config.model_copy(update={"dataset": dataset})
        object.__setattr__(bundle, "config", config)
        card = card_files(bundle, "team/it")["README.md"].decode()
        assert f"datasets:\n- {name}\n" in card

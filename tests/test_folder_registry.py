"""A folder as a registry: a new file is found by its name, and by nothing else."""

from pathlib import Path

import pytest

from rszoo import _registry
from rszoo.errors import RszooError


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / f"animals_{tmp_path.name}"  # modules stay loaded: a name of its own
    folder.mkdir()
    for name in ("__init__", "_shared", "dog", "cat"):
        (folder / f"{name}.py").write_text(f"NAME = {name!r}\n")
    (folder / "notes.txt").write_text("no variant")
    monkeypatch.syspath_prepend(tmp_path)
    return folder.name


def test_the_names_are_those_of_the_files(package: str, tmp_path: Path) -> None:
    assert _registry.names(package) == ["cat", "dog"]
    (tmp_path / package / "bird.py").write_text("NAME = 'bird'\n")
    assert _registry.names(package) == ["bird", "cat", "dog"]
    assert _registry.load(package, "bird", kind="animal").NAME == "bird"


def test_naming_imports_nothing(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "dog.py").write_text("raise AssertionError('imported')\n")
    assert _registry.names(package) == ["cat", "dog"]
    assert _registry.load(package, "cat", kind="animal").NAME == "cat"
    with pytest.raises(AssertionError, match="imported"):
        _registry.load(package, "dog", kind="animal")


@pytest.mark.parametrize(
    ("name", "near"), [("cats", " (did you mean 'cat'?)"), ("_shared", ""), (7, "")]
)
def test_other_names_are_refused(package: str, name: object, near: str) -> None:
    with pytest.raises(RszooError) as caught:
        _registry.load(package, name, kind="animal")
    assert str(caught.value) == f"unknown animal {name!r}{near}; expected one of ['cat', 'dog']"

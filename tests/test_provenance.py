"""What a bundle says of the code that made it."""

import subprocess
from pathlib import Path

import pytest

import rszoo
from rszoo.training.provenance import environment

FILES = ("zoo/rszoo/__init__.py", "dvc.lock")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Git checkout that the package pretends to be in."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "--all")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    monkeypatch.setattr(rszoo, "__file__", str(tmp_path / FILES[0]))
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def commit_now() -> str:
    return environment.__wrapped__()["git_commit"]


def test_the_commit_and_whether_the_code_is_it(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    assert commit_now() == head
    (checkout / "notes").write_text("of no account")
    (checkout / "dvc.lock").write_text("stages:")  # as a pipeline does between two trainings
    assert commit_now() == head
    (checkout / FILES[0]).write_text("changed = True")
    assert commit_now() == f"{head}+changes"


def test_without_git(checkout: Path) -> None:
    (checkout / ".git").rename(checkout / "hidden")
    assert commit_now() == "not a git checkout"

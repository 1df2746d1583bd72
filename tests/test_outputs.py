"""Outputs that would damage a bundle, or be written over what a command is given to read."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rszoo.hub.bundle import open_bundle
from rszoo_cli import app

BUILTIN = Path(__file__).parents[1] / "zoo/rszoo/builtin"
NAME = "digits-gaussian-0.25"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(BUILTIN / NAME, "it")


def said(*arguments: str, code: int = 1) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    return " ".join(f"{done.exception} {done.output}".replace("│", " ").split())


CERTIFY = ("certify", "--model", "it", "--n", "100", "--limit", "1", "--device", "cpu")


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ((*CERTIFY, "--out", "it/log.tsv"), "it/log.tsv"),
        ((*CERTIFY, "--out", "it/logs/log.tsv"), "it/logs/log.tsv"),
        (("train", "gaussian", "--sigma", "0.25", "--out", "it"), "it/.state"),
        (("sweep", "gaussian", "--sigma", "0.25", "--out", "it"), "it/.state"),
        (("export", "it", "--format", "state_dict", "--out", "it/it"), "it/it"),
        (
            ("compose", "ensemble", "--member", "it", "--member", "it", "--out", "it/two"),
            "it/two",
        ),
        (
            ("import", "it/model.safetensors", "--name", "x", "--dataset", "digits", "--sigma",
             "0.25", "--architecture", "small_cnn", "--normalization", "none", "--out", "it/x"),
            "it/x",
        ),
    ],
)  # fmt: skip
def test_nothing_is_written_into_a_bundle(arguments: tuple[str, ...], place: str) -> None:
    before = sorted(Path("it").rglob("*"))
    if arguments[0] == "compose":  # two that differ
        shutil.copytree(BUILTIN / "digits-stability-0.25", "other")
        arguments = tuple("other" if i == 5 else text for i, text in enumerate(arguments))
    assert (
        f"expected a place outside of bundles, got '{place}' in the bundle "
        f"'{Path('it').resolve()}', whose files are fixed; choose another --out"
    ) in said(*arguments)
    assert sorted(Path("it").rglob("*")) == before
    open_bundle("it")


def test_a_log_where_no_file_can_be() -> None:
    os.mkfifo("pipe")
    for place in ("pipe", "/dev/null"):
        assert f"expected a file or a new name for the log, got '{place}'" in said(
            *CERTIFY, "--out", place
        )
    assert sorted(os.listdir()) == ["it", "pipe"]
    assert not Path("/dev/null.json").exists()


def test_what_is_read_is_not_written_over() -> None:
    np.savez("set.npz", images=np.zeros((10, 1, 4, 4), np.uint8), labels=np.arange(10) % 2)
    log = Path(shutil.copy("it/certificates.tsv", "a.tsv"))
    shutil.copy("it/certificates.json", "a.json")
    for arguments in (
        ("data", "./set.npz", "--out", "set.npz"),
        ("leaderboard", "it", "a.tsv", "--html", "./a.tsv"),
    ):
        before = Path(arguments[-1]).read_bytes()
        assert "expected a file to write, got" in said(*arguments, code=2)
        assert Path(arguments[-1]).read_bytes() == before
    assert log.read_bytes() == Path("it/certificates.tsv").read_bytes()

"""Ctrl-C says what there is to continue, and --resume continues it, under its seed."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from rszoo_cli import main

CERTIFY = ("certify", "--n", "200", "--limit", "3", "--out", "log.tsv", "--model")
ATTACK = ("attack", "--n", "20", "--limit", "3", "--steps", "1", "--out", "log.tsv")
MODEL = "builtin/digits-gaussian-0.25"
CONTINUE = "interrupted; continue with --resume\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def interrupt(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def interrupted(place: str, *arguments: str) -> None:
    """Run a command that the user interrupts where it calls this function."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, interrupt)
        with pytest.raises(SystemExit) as caught:
            main(arguments)
    assert caught.value.code == 130


@pytest.mark.parametrize("command", [CERTIFY, ATTACK])
def test_before_there_is_a_log_nothing_is_promised(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted("rszoo.hub.catalog.find", *command, MODEL)
    assert capsys.readouterr().err == "interrupted; no log was being written\n"
    assert list(Path().iterdir()) == []


def test_own_inputs_have_no_log(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("own.npy", np.zeros((2, 1, 8, 8), dtype=np.float32))
    given = ("certify", "own.npy", "--n", "200", "--model", MODEL)
    interrupted("rszoo.evaluation.certify.record", *given)
    assert capsys.readouterr().err == "interrupted; no log was being written\n"


@pytest.mark.parametrize(
    ("command", "first"),
    [(CERTIFY, "rszoo.evaluation.certify.record"), (ATTACK, "rszoo.evaluation.attack._rows")],
)
def test_before_the_first_row_the_log_goes_on_under_its_seed(
    command: tuple[str, ...], first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (*command, MODEL)
    interrupted(first, *whole, "--seed", "77")
    assert capsys.readouterr().err.endswith(CONTINUE)
    assert Path("log.tsv").read_bytes() == b""
    with pytest.raises(SystemExit) as caught:
        main((*whole, "--resume"))
    assert not caught.value.code
    assert json.loads(Path("log.json").read_text())["seed"] == 77
    assert Path("log.tsv").read_text().count("\n") == 4

"""One odd item of several: its error is an item of the list."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rszoo._each import attempted
from rszoo.errors import DataError, RszooError
from rszoo_cli import app


def test_what_comes_of_a_call() -> None:
    def failing() -> int:
        raise DataError("a.tsv: broken")

    assert attempted(lambda: 3, expected="a number") == 3
    found = attempted(failing, expected="a log")
    assert isinstance(found, DataError)
    assert str(found) == "a.tsv: broken"
    found = attempted(lambda: 1 // 0, expected="a number")
    assert isinstance(found, RszooError)
    assert str(found).startswith("expected a number, got ZeroDivisionError: ")
    assert isinstance(found.__cause__, ZeroDivisionError)


def test_signals_are_no_errors_of_an_item() -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempted(stopped, expected="anything")


def test_a_leaderboard_with_a_log_that_nobody_foresaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*_: object, **__: object) -> None:
        raise ArithmeticError("strange")

    for name in ("a.tsv", "b.tsv"):
        (tmp_path / name).touch()
    monkeypatch.setattr("rszoo.training.entries.read_log", odd)
    done = CliRunner().invoke(app, ["leaderboard", str(tmp_path)])
    for name in ("a.tsv", "b.tsv"):
        said = f"{name}: expected a log, got ArithmeticError: strange"
        assert said in " ".join(done.output.split())

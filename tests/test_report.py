"""`rszoo report`, by its whole output."""

import json
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from rszoo.errors import DataError
from rszoo.evaluation.log import NO_LABEL, CertificationLog
from rszoo.smoothing.certificate import certificate_from_votes
from rszoo_cli import console
from rszoo_cli.report import report

HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
VOTES = (1000, 990, 900, 700, 300)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for stream in (console.out, console.err):
        monkeypatch.setattr(stream, "width", 80)


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(report)
    return CliRunner().invoke(app, list(arguments))


def bundle(name: str, *, sigma: float = 0.25, n: int = 1000) -> None:
    path = Path(name, "certificates.tsv")
    with CertificationLog.open(path, {"data": "digits"}, resume=False) as log:
        for idx, votes in enumerate(VOTES):
            given = certificate_from_votes(1, votes, n0=9, n=n, alpha=0.001, sigma=sigma)
            log.append(idx, 1, given, 0.1)


def printed(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return "\n".join(line.rstrip() for line in result.stdout.splitlines())


def test_one_log(tmp_path: Path) -> None:
    bundle("digits-cat_rs-0.25")
    assert printed(run("digits-cat_rs-0.25")) == ""


def test_several_logs_are_compared() -> None:
    bundle("digits-cat_rs-0.25")
    bundle("digits-cat_rs-1.00", sigma=1.0)
    assert printed(run("digits-cat_rs-0.25", "digits-cat_rs-1.00")) == ""


def test_original_logs_and_differences() -> None:
    bundle("digits-cat_rs-0.25")
    Path("cohen.tsv").write_text(HEADER + "0\t1\t1\t1.91\t1\tt\n")
    assert printed(run("digits-cat_rs-0.25", "cohen.tsv", "--radii", "0.125,1.5")) == ""


def test_json() -> None:
    bundle("digits-cat_rs-0.25")
    bundle("other", n=2000)
    result = run("digits-cat_rs-0.25", "other", "--json", "--radii", "0,0.5")
    assert result.exit_code == 0
    first, second = json.loads(result.stdout)
    assert first == {}

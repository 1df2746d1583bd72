"""`rszoo ls` and `rszoo show`, by their whole output."""

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.table import Table
from typer.testing import CliRunner, Result

from rszoo.hub import catalog
from rszoo.hub.bundle import open_bundle
from rszoo_cli import app, console

MODEL = "runs/digits-gaussian-0.25"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant_bundle: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalog, "_builtin_folder", lambda: tmp_path / "builtin")
    for stream in (console.out, console.err):
        monkeypatch.setattr(stream, "width", 80)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def printed(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return "\n".join(line.rstrip() for line in result.stdout.splitlines())


def certify() -> None:
    done = run(
        "certify", "--model", MODEL, "--n", "1000", "--limit", "12", "--skip", "3", "--attach"
    )
    assert done.exit_code == 0, done.output


def test_ls() -> None:
    assert printed("ls") == (
        "id                         method    network    sigma  images  ACR\n"
        "runs/digits-gaussian-0.25  gaussian  small_cnn   0.25       -    -"
    )
    certify()
    shutil.copytree(MODEL, "builtin/digits-gaussian-0.25")
    broken = Path(shutil.copytree(MODEL, "runs/digits-zebra-0.25"))
    (broken / "recipe.yaml").unlink()
    result = run("ls")
    assert result.stdout == (  # 0.1026: never rounded up
        "id                            method    network    sigma  images    ACR\n"
        "runs/digits-gaussian-0.25     gaussian  small_cnn   0.25      12  0.102\n"
        "builtin/digits-gaussian-0.25  gaussian  small_cnn   0.25      12  0.102\n"
    )
    assert result.stderr == (
        "runs/digits-zebra-0.25: recipe.yaml: expected a file, got none; the bundle is damaged or "
        "was changed by hand; fetch or make it again\n"
    )


def test_ls_as_json() -> None:
    certify()
    broken = Path(shutil.copytree(MODEL, "runs/digits-zebra-0.25"))
    (broken / "recipe.yaml").unlink()
    first, second = json.loads(printed("ls", "--json"))
    assert first.pop("certified")["acr"] == pytest.approx(0.6158156536828822 / 6)
    assert first == {
        "id": MODEL,
        "dataset": "digits",
        "method": "gaussian",
        "network": "small_cnn",
        "sigma": 0.25,
    }
    assert second == {
        "id": "runs/digits-zebra-0.25",
        "problem": "recipe.yaml: expected a file, got none; the bundle is damaged or was changed "
        "by hand; fetch or make it again",
    }


def test_ls_of_nothing() -> None:
    assert printed("ls", "--runs", "none") == (
        "no bundles in none; make one with: rszoo train cat_rs"
    )
    assert json.loads(printed("ls", "--runs", "none", "--json")) == []


@pytest.mark.parametrize(
    ("chosen", "listed"),
    [
        (("--method", "gaussian", "--sigma", "0.25"), [MODEL]),
        (("--search", "GAUSS"), [MODEL]),
        (("--dataset", "digits"), [MODEL]),
        (("--method", "macer"), []),
        (("--sigma", "0.5"), []),
        (("--search", "macer"), []),
        (("--dataset", "mnist"), []),
    ],
)
def test_ls_of_some(chosen: tuple[str, ...], listed: list[str]) -> None:
    assert [row["id"] for row in json.loads(printed("ls", "--json", *chosen))] == listed
    if not listed:
        assert printed("ls", *chosen).startswith("no such bundles in runs;")


SHOWN = """\
 model     runs/digits-gaussian-0.25
 data set  digits
 method    gaussian
 network   small_cnn
 sigma     0.25
 images    1 x 8 x 8
 classes   10: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
 trained   seed 0
 weights   {0}

certified on digits, test

log                   sigma      n  alpha  images            ACR  abstain %
───────────────────────────────────────────────────────────────────────────
digits-gaussian-0.25   0.25  1,000  0.001      12  0.102 ± 0.070        0.0

radius  certified accuracy %  95 % interval
───────────────────────────────────────────
0.00                    16.6       2.0-48.5
0.25                    16.6       2.0-48.5
0.50                    16.6       2.0-48.5"""


def test_show() -> None:
    certify()
    assert printed("show", MODEL) == SHOWN.format(open_bundle(MODEL).weights_digest)


def test_show_as_json() -> None:
    facts = json.loads(printed("show", MODEL, "--json"))
    assert facts == {
        "id": MODEL,
        "dataset": "digits",
        "method": "gaussian",
        "network": "small_cnn",
        "sigma": 0.25,
        "certified": None,
        "input_shape": [1, 8, 8],
        "classes": list("0123456789"),
        "weights_sha256": open_bundle(MODEL).weights_digest,
        "origin": {"seed": 0, "parents": []},
    }


def test_show_checks_the_bundle() -> None:
    Path(MODEL, "recipe.yaml").write_text("x")
    result = run("show", MODEL)
    assert str(result.exception).startswith("recipe.yaml: expected 0 bytes, got 1 bytes; ")
    assert result.stdout == ""


def test_a_narrow_terminal_does_without_some_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(width: int, *, terminal: bool) -> list[str]:
        stream = io.StringIO()
        lines = console._Stream(
            file=stream, width=width, force_terminal=terminal, color_system=None
        )
        monkeypatch.setattr(console, "out", lines)
        table = Table("id", "network", "method", box=None, pad_edge=False)
        table.add_row("runs/digits-cat_rs-0.25", "small_cnn", "cat_rs")
        console.print_listing(table, spare=("network", "method"))
        return stream.getvalue().splitlines()[1].split()

    row = ["runs/digits-cat_rs-0.25", "small_cnn", "cat_rs"]
    assert shown(60, terminal=True) == row
    assert shown(36, terminal=True) == [row[0], row[2]]
    assert shown(26, terminal=True) == row[:1]
    assert shown(26, terminal=False) == row

"""What others wrote reaches the terminal as text: no control character acts, no markup counts."""

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.table import Table
from typer.testing import CliRunner

from rszoo.hub.catalog import find
from rszoo.hub.manifest import Manifest
from rszoo_cli import app, console
from rszoo_cli.console import _Stream, err, harmless, out

#: A line that would erase the screen, go back to the start of the line, colour, turn round.
ODD = "3\x1b[2J\r\x9b1A\u202eabc[red]x[/red]:smile:[/]"
NAME = "digits-gaussian-0.50"


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bundle, and pictures, with odd names of everything that has a name."""
    monkeypatch.chdir(tmp_path)
    for stream in (out, err):
        monkeypatch.setattr(stream, "width", 400)
    bundle = find(f"builtin/{NAME}")
    folder = tmp_path / "runs" / NAME
    shutil.copytree(bundle.path, folder)
    config = json.loads((folder / "config.json").read_text())
    config["method"] = ODD
    config["class_names"] = [f"{i}{ODD}" for i in range(10)]
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("certificates.tsv", "certificates.json"):
        (folder / name).unlink()
    origin = bundle.manifest.origin.model_copy(update={"git_commit": ODD})
    Manifest.of(folder, origin=origin).write(folder)
    return f"runs/{NAME}"


COMMANDS = (
    "ls",
    "ls --json",
    "show MODEL",
    "show MODEL --json",
    "show MODEL --lineage",
    "predict PICTURE --model MODEL --n 100",
    "certify PICTURE --model MODEL --n 100 --n0 10",
    "certify PICTURE --model MODEL --n 100 --n0 10 --json",
    "verify MODEL",
    "push MODEL org/name",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_prints_what_acts_on_a_terminal(odd: str, command: str) -> None:
    import numpy as np

    picture = "a\u202e[red]b.npy"
    np.save(picture, np.zeros((1, 8, 8), dtype=np.uint8))
    arguments = [{"MODEL": odd, "PICTURE": picture}.get(word, word) for word in command.split()]
    done = CliRunner().invoke(app, arguments)
    text = f"{done.output}{done.exception or ''}"
    acting = {c for c in done.output if not c.isprintable()} - {"\n"}
    assert acting == set(), text
    if "--json" in command and done.exit_code == 0:
        json.loads(done.stdout)


def test_what_is_shown_of_an_odd_name(odd: str) -> None:
    said = CliRunner().invoke(app, ["show", odd]).stdout
    assert "3\\u001b[2J\\u009b1A\\u202eabc[red]x[/red]:smile:[/]" in said
    assert json.loads(CliRunner().invoke(app, ["show", odd, "--json"]).stdout)["method"] == ODD


def test_characters_are_escaped_as_json_has_them() -> None:
    assert harmless("plain é 数字\n\ttext") == "plain é 数字\n\ttext"
    assert json.loads(f'"{harmless(ODD)}"') == ODD
    tag = "\U000e0001"
    assert json.loads(f'"{harmless(tag)}"') == tag


def test_tables_and_styles_are_texts_as_well() -> None:
    file = io.StringIO()
    stream = _Stream(file=file, markup=False, emoji=False, width=200)
    table = Table("a")
    table.add_row(ODD)
    stream.print(table)
    stream.print(ODD, style="red")
    written = file.getvalue()
    assert {c for c in written if not c.isprintable()} == {"\n"}
    assert written.count("3\\u001b[2J\\u009b1A") == 2
    assert written.count("[red]x[/red]:smile:") == 1  # a cell ends where its column does


def listing(*, terminal: bool, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the lines of a table with a long id, as a reader sees them."""
    shown = _Stream(file=io.StringIO(), force_terminal=terminal, width=width, color_system=None)
    monkeypatch.setattr(console, "out", shown)
    table = Table("id", "method", box=None, pad_edge=False)
    table.add_row("builtin/digits-smoothadv_consistency-0.50", "smoothadv and consistency")
    console.print_listing(table)
    assert isinstance(shown.file, io.StringIO)
    return [line.rstrip() for line in shown.file.getvalue().splitlines()]


def test_another_program_finds_every_id_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert listing(terminal=False, width=30, monkeypatch=monkeypatch)[1:] == [
        "builtin/digits-smoothadv_consistency-0.50  smoothadv and consistency"
    ]


def test_on_a_terminal_the_other_columns_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert listing(terminal=True, width=56, monkeypatch=monkeypatch)[1:] == [
        "builtin/digits-smoothadv_consistency-0.50  smoothadv and",
        "                                           consistency",
    ]

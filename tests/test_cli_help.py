"""The help of every command, and how fast it comes."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer
from typer.testing import CliRunner

from rszoo_cli import app

HEAVY = "torch mlflow torchvision scipy matplotlib sklearn pandas numpy starlette uvicorn".split()

LISTED = """
import sys
sys.argv = ["rszoo", *sys.argv[1:]]
from rszoo_cli import main
try:
    main()
finally:
    print([name for name in {names} if name in sys.modules], file=sys.stderr)
"""


def commands(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in sorted(getattr(group, "commands", {}).items()):
        yield (*path, name)
        yield from commands(command, (*path, name))


COMMANDS = list(commands(typer.main.get_command(app)))


def test_the_commands() -> None:
    assert [" ".join(path) for path in COMMANDS] == [
        "attack",
        "certify",
        "compose",
        "compose cascade",
        "compose denoised",
        "compose dual",
        "compose ensemble",
        "compose mixed",
        "data",
        "export",
        "hub",
        "hub gc",
        "hub serve",
        "import",
        "leaderboard",
        "ls",
        "merge",
        "predict",
        "pull",
        "push",
        "recipe",
        "recipe cp",
        "recipe ls",
        "recipe show",
        "recipe validate",
        "report",
        "runs",
        "runs compare",
        "runs ls",
        "runs show",
        "show",
        "sweep",
        "train",
        "verify",
    ]


@pytest.mark.parametrize("path", [(), *COMMANDS], ids=lambda path: " ".join(path) or "rszoo")
def test_every_help_has_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    _, example, shown = result.stdout.partition("Example:")
    assert example, result.stdout
    wanted = " ".join(("rszoo", *path))
    assert wanted in " ".join(shown.split()), shown


@pytest.mark.parametrize("arguments", [("--help",), ("train", "--help"), ("--version",)])
def test_help_waits_for_no_heavy_import(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LISTED.format(names=HEAVY), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"COLUMNS": "80"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "[]\n"
    assert done.stdout


def test_a_module_run_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rszoo_cli", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "rszoo 0.1.0\n")


def test_no_command_and_an_unknown_one_are_wrong_usage() -> None:
    assert CliRunner().invoke(app, []).exit_code == 2
    result = CliRunner().invoke(app, ["certfy"], env={"COLUMNS": "80"})
    assert result.exit_code == 2
    assert "No such command 'certfy'" in result.output

"""The help of every command, and how fast it comes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import pytest
import typer
from typer.core import TyperOption
from typer.testing import CliRunner

from rszoo_cli import app
from rszoo_cli.panels import PANELS
from rszoo_cli.values import count, distance

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


ROOT = typer.main.get_command(app)
COMMANDS = list(commands(ROOT))


def options_of(path: tuple[str, ...]) -> list[TyperOption]:
    command: object = ROOT
    for name in path:
        command = getattr(command, "commands")[name]  # noqa: B009
    return [one for one in getattr(command, "params", ()) if isinstance(one, TyperOption)]


@cache
def shown(path: tuple[str, ...], by: str = "-h") -> list[str]:
    result = CliRunner().invoke(app, [*path, by], env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    return [line.rstrip() for line in result.stdout.splitlines()]


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
        "compose mixed-standard",
        "data",
        "explore",
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


@pytest.mark.parametrize("path", [(), *COMMANDS], ids=lambda path: " ".join(path) or "rszoo")
def test_every_help_fits_a_screen_up_to_what_few_need(path: tuple[str, ...]) -> None:
    lines = shown(path)
    advanced = [number for number, line in enumerate(lines) if line.startswith("Advanced ─")]
    assert (advanced or [len(lines)])[0] <= 40, "\n".join(lines)
    titles = [line.split(" ─")[0] for line in lines if line.endswith("───")]
    known = ["Arguments", "Options", *PANELS, "Commands"]
    assert titles == sorted(titles, key=known.index)  # in one order, so that Advanced is the last
    assert {one.rich_help_panel for one in options_of(path)} <= {None, *PANELS}


@pytest.mark.parametrize("path", [(), *COMMANDS], ids=lambda path: " ".join(path) or "rszoo")
def test_every_option_is_in_the_help_with_a_value_if_it_takes_one(path: tuple[str, ...]) -> None:
    lines = shown(path)
    assert not re.search(r"<\w+>", "\n".join(lines))  # as of <bool>
    for option in options_of(path):
        name = max(option.opts, key=len)
        (line,) = [one for one in lines if re.match(rf" (-\w,|   ) {name}(?![\w-])", one)]
        after = line.split(name, 1)[1]
        if option.is_flag:
            assert re.match(r"(/--no-\w+)?(  |$)", after), line
        else:
            assert re.match(r" [^ ]+(  |$)", after), line


@pytest.mark.parametrize("path", [(), ("certify",), ("runs",), ("runs", "ls")])
def test_the_short_name_of_help_is_known_everywhere(path: tuple[str, ...]) -> None:
    assert shown(path, "-h") == shown(path, "--help")


def test_a_long_command_has_panels_and_a_short_one_does_not() -> None:
    assert [line.split(" ─")[0] for line in shown(("certify",)) if line.endswith("──")] == [
        "Arguments",
        "Options",
        *PANELS,
    ]
    assert [line.split(" ─")[0] for line in shown(("pull",)) if line.endswith("──")] == [
        "Arguments",
        "Options",
    ]


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["certfy"], "Did you mean 'certify'"),
        (["info"], "Did you mean 'show'?"),
        (["upload", "runs/a"], "Did you mean 'push'?"),
        (["recipe", "list"], "Did you mean 'ls'?"),
        (["certify"], "rszoo ls lists them"),
        (["train"], "rszoo recipe ls lists them"),
        (["import", "a.pth", "--name", "a"], "Missing option '--dataset'. A data set's name"),
    ],
)
def test_what_is_meant_is_said(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "100"})
    assert result.exit_code == 2
    assert said in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str) -> None:
    def completed(words: str) -> str:
        asked = {
            "_RSZOO_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
            "_TYPER_COMPLETE_ARGS": words,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            "_TYPER_COMPLETE_WORD_TO_COMPLETE": words.split(" ")[-1],
        }
        return CliRunner().invoke(app, [], prog_name="rszoo", env=asked).stdout

    assert "certify" in completed("rszoo cer")
    assert "train" not in completed("rszoo cer")
    assert "--runner-up" in completed("rszoo certify --run")


def test_completion_is_shown_and_installed() -> None:
    assert {"--install-completion", "--show-completion"} <= set(
        word for line in shown(()) for word in line.split()
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("100000", 100_000),
        ("100,000", 100_000),
        ("1_000_000", 1_000_000),
        ("1e5", 100_000),
        ("2.5E3", 2_500),
        ("1e+2", 100),
        ("10.0", 10),
        (" 5 ", 5),
    ],
)
def test_counts_are_read_as_people_write_them(text: str, value: int) -> None:
    assert count()(text) == value


@pytest.mark.parametrize(
    "text",
    ["1e-3", "1.5", "1,5", "10,00", "1,000.5", "1e", "e5", "", "inf", "nan", "1e999", "1_0", "٣"],
)
def test_what_is_no_whole_number_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="such as 100000, 100,000 or 1e5"):
        count()(text)


def test_counts_have_a_range() -> None:
    assert count(0)("0") == 0
    with pytest.raises(typer.BadParameter, match="expected 1 or more, got '0'"):
        count()("0")
    with pytest.raises(typer.BadParameter, match="expected 1 to 1,000, got '1e4'"):
        count(1, 1000)("1e4")
    with pytest.raises(typer.BadParameter, match="expected 1 or more, got '-1e3'"):
        count()("-1e3")


def test_distances_may_be_fractions() -> None:
    assert distance("8/255") == 8 / 255
    assert distance("0.5") == 0.5
    for text in ("0", "-1", "8/0", "nan", "inf", "8/", "/255", "a", "1/2/3", "1e999"):
        with pytest.raises(typer.BadParameter, match="a fraction such as 8/255"):
            distance(text)


def test_every_count_of_a_command_is_read_alike() -> None:
    counts = {"--n", "--n0", "--n-max", "--limit", "--skip", "--batch-size", "--sample", "--draws"}
    counts |= {"--steps", "--replay", "--seeds", "--jobs", "--rounds"}
    found = set()
    for path in COMMANDS:
        for option in options_of(path):
            if counts & set(option.opts):
                found |= counts & set(option.opts)
                result = CliRunner().invoke(app, [*path, option.opts[0], "1.5"])
                assert "such as 100000" in " ".join(result.output.split()), (path, option.opts)
    assert found == counts

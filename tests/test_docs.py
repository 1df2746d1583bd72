"""README, CONTRIBUTING and docs/: every command works, every link leads somewhere."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import typer
from docs_pages import (
    GENERATED,
    NAMES,
    PAGES,
    ROOT,
    anchors,
    blocks,
    commands,
    links,
    phrases,
    script,
    typed_lines,
    words,
)
from forks import Forks, write_command
from hub_server import RunningHub

from rszoo_cli import app

#: Pages for a reader in a checkout, and what that is.
IN_A_CHECKOUT = {"README.md", "CONTRIBUTING.md", "docs/how-to/own-method.md"}
CHECKOUT = ("zoo", "cli", "recipes", "tests", "hubconf.py", "pyproject.toml")
#: What the README speaks of besides.
PICTURES = ("docs/zero.png", "docs/nine.png")
#: Pages that take long: they train several times, or in several processes.
SLOW = {
    "docs/denoising.md",
    "docs/dual.md",
    "docs/how-to/gpu.md",
    "docs/how-to/own-data.md",
    "docs/mixing.md",
}
_PATIENCE = 900  # seconds for a page; one that waits for its reader never ends
COMMAND = [sys.executable, "-S", "-E", str(Path(__file__).with_name("docs_command.py"))]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> dict[str, str]:
    """The environment of a shell in which `rszoo` and `python` are ready at once."""
    folder = tmp_path_factory.mktemp("shell")
    write_command(folder / "rszoo", *COMMAND, forks.address)
    write_command(folder / "python", *forks.command)
    write_command(folder / "mlflow", *forks.command, "-m", "mlflow")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "RSZOO_", "MLFLOW_"))}
    return kept | {
        "PATH": os.pathsep.join([str(folder), str(Path(sys.executable).parent), kept["PATH"]]),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
        "HF_ENDPOINT": "http://127.0.0.1:9",  # no page asks the world
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def heavy(name: str) -> object:
    return pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name


def copy_checkout(folder: Path) -> dict[str, str]:
    """Give the reader a checkout to change; return where Python finds it."""
    for name in CHECKOUT:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, folder)
    gaussian = folder / "recipes" / "gaussian.yaml"  # what others build on, and cut short as well
    gaussian.write_text(re.sub(r"epochs: \d+", "epochs: 2", gaussian.read_text()))
    return {"PYTHONPATH": os.pathsep.join([str(folder / "zoo"), str(folder / "cli")])}


def add_what_the_readme_names(folder: Path, hub: RunningHub) -> dict[str, str]:
    """Copy its pictures; return the address of its hub."""
    (folder / "docs").mkdir()
    for name in PICTURES:
        shutil.copy(ROOT / name, folder / name)
    return {"HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token}


def typed(text: str, folder: Path, env: dict[str, str]) -> tuple[int, dict[int, str]]:
    """Run a script; return its exit code, and what each block printed, by its line."""
    process = subprocess.Popen(
        ["bash", "-c", text],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=_PATIENCE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # servers that the page started
    parts = re.split(r"(?m)^::: (\d+)\n", out)
    return process.returncode, dict(zip(map(int, parts[1::2]), parts[2::2], strict=True))


@pytest.mark.parametrize("name", [heavy(name) for name in NAMES])
def test_every_command_of_a_page_works(
    name: str, shell: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    page, folder = ROOT / name, tmp_path / "empty"
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    env = shell | {"HOME": str(tmp_path), "DOCS_HUB_PORT": port}
    if name in IN_A_CHECKOUT:
        env |= copy_checkout(folder)
    if name == "README.md":
        env |= add_what_the_readme_names(folder, request.getfixturevalue("hub"))
    code, said = typed(script(page).replace("8765", port), folder, env)
    assert code == 0, f"{name}:{max(said)}\n{said[max(said)]}"
    for block, after in pairwise([*blocks(page), None]):
        assert block is not None
        if block.language == "python" and block.runs and after and after.language == "text":
            assert said[block.line] == after.text, f"{name}:{after.line}"
        if block.runs:
            missing = words("\n".join(block.output)) - words(said[block.line])
            assert not missing, f"{name}:{block.line}: {missing} not in\n{said[block.line]}"


@pytest.mark.parametrize("name", NAMES)
def test_every_block_is_run_or_says_why_not(name: str) -> None:
    wrong = [
        f"{name}:{b.line}: {problem}" for b in blocks(ROOT / name) for problem in b.problems()
    ]
    assert not wrong, "\n".join(wrong)


def parse(arguments: list[str]) -> None:
    """Parse a command line without running it.

    Raises:
        click.UsageError: it is wrong.
    """

    def stop(command: object) -> None:
        for one in getattr(command, "commands", {}).values():
            stop(one)
        if not hasattr(command, "commands"):
            vars(command)["callback"] = lambda **_: None

    command = typer.main.get_command(app)
    stop(command)
    command.main(arguments, prog_name="rszoo", standalone_mode=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_can_be_parsed(page: Path) -> None:
    wrong = []
    for number, line in typed_lines(page):
        for arguments in commands(line):
            try:
                parse(arguments)
            except Exception as error:
                wrong.append(f"{page.name}:{number}: {line.strip()}: {error}")
    assert not wrong, "\n".join(wrong)


def options_of(path: Sequence[str]) -> set[str]:
    """Return the options of a command, as `["hub", "serve"]`; none for what is no command."""
    command: Any = typer.main.get_command(app)
    for name in path:
        command = getattr(command, "commands", {}).get(name, command)
    return {option for parameter in command.params for option in parameter.opts} | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_in_a_sentence_exists(page: Path) -> None:
    known = set(typer.main.get_command(app).commands) | options_of([]) | {"COMMAND"}
    for phrase in phrases(page):
        _, *path = phrase.split()
        names = {name for word in path[:1] for name in word.split("|")}
        assert names <= known, phrase
        options = {word.partition("=")[0] for word in path if word.startswith("--")}
        assert options <= options_of([word.split("|")[0] for word in path]) | known, phrase


def test_the_reference_is_that_of_the_command() -> None:
    pinned = re.search(r"(?m)^typer==(.+)$", (ROOT / "constraints.txt").read_text())
    if pinned is None or pinned[1] != version("typer"):
        pytest.skip(f"another typer than constraints.txt names words it otherwise: {pinned}")
    command = [sys.executable, "docs/make_cli.py"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert made == GENERATED.read_text(), (
        "renew it: python docs/make_cli.py > docs/reference/cli.md"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link

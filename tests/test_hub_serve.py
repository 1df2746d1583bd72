"""`rszoo hub serve` as a process, and the real `hf` command with it."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from typer.testing import CliRunner

from rszoo_cli import app

PATTERN = re.compile(
    r"hub    (?P<url>http://127\.0\.0\.1:\d+)\n"
    r"root   (?P<root>/.+)\n"
    r"token  (?P<token>hf_[\w-]{32}|the one given)\n\n"
    r"export HF_ENDPOINT=(?P=url)\n"
    r"export HF_TOKEN=(?:(?P=token)|\.\.\.)\n"
    r"export HF_HUB_DISABLE_XET=1 .*\n$"
)
Start = Callable[..., tuple["subprocess.Popen[str]", dict[str, str]]]


@pytest.fixture
def start(tmp_path: Path, hub_client: Callable[[str], None]) -> Iterator[Start]:
    """Start a server that may open so many files, and return it with what it printed."""
    started = []

    def run(
        *options: str, files: int = 1024, **environment: str
    ) -> tuple["subprocess.Popen[str]", dict[str, str]]:
        root = ["--root", str(tmp_path / "served"), "--port", "0"]
        limited = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"]
        process = subprocess.Popen(
            [*limited, sys.executable, "-m", "rszoo_cli", "hub", "serve", *root, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        started.append(process)
        assert process.stdout is not None
        text = "".join(process.stdout.readline() for _ in range(7))
        match = PATTERN.fullmatch(text)
        assert match, text
        return process, match.groupdict()

    yield run
    for process in started:
        process.kill()
        process.communicate()


def stopped(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_with_the_hf_command(start: Start, tmp_path: Path) -> None:
    process, said = start()
    assert said["root"] == str((tmp_path / "served").resolve())
    environment = os.environ | {"HF_ENDPOINT": said["url"], "HF_TOKEN": said["token"]}
    hf = Path(sys.executable).with_name("hf")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [hf, *arguments], env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights" * 1000)
    (folder / "README.md").write_text("---\ntags: [cat_rs]\n---\n# m\n")
    run("upload", "team/model", str(folder))
    run("repos", "tag", "create", "team/model", "v1.0")
    assert "team/model" in run("models", "ls", "--search", "mod")
    run("download", "team/model", "--revision", "v1.0", "--local-dir", str(tmp_path / "got"))
    for path in folder.iterdir():
        assert (tmp_path / "got" / path.name).read_bytes() == path.read_bytes()
    assert stopped(process) == (0, "", "stopped\n")


def test_ctrl_c_and_again(start: Start, tmp_path: Path) -> None:
    first, said = start("--token", "my-own-token")
    assert said["token"] == "the one given"
    api = HfApi(endpoint=said["url"], token="my-own-token")
    api.create_repo("team/model", private=True)
    blocked = CliRunner().invoke(app, ["hub", "serve", "--root", said["root"], "--port", "0"])
    assert "is served by another process; stop it, or choose" in str(blocked.exception)
    port = said["url"].rpartition(":")[2]
    other = str(tmp_path / "other")
    taken = CliRunner().invoke(app, ["hub", "serve", "--root", other, "--port", port])
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in str(
        taken.exception
    )
    assert stopped(first) == (0, "", "stopped\n")  # though the client's connection is open

    tokens = {"RSZOO_HUB_TOKEN": "my-own-token", "RSZOO_HUB_READ_TOKEN": "my-reader"}
    _, said = start(**tokens)
    reader = HfApi(endpoint=said["url"], token="my-reader")
    assert [model.id for model in reader.list_models()] == ["team/model"]


def test_more_connections_than_files(start: Start) -> None:
    process, said = start("--token", "my-own-token", files=100)
    port = int(said["url"].rpartition(":")[2])
    with ExitStack() as stack:
        for _ in range(200):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(b"GET / HTTP/1.1\r\n")
        HfApi(endpoint=said["url"], token="my-own-token").create_repo("team/model")
    assert stopped(process) == (0, "", "stopped\n")  # and nothing was logged


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--token", "short"], "expected a token of at least 8 printable ASCII characters"),
        (["--token", "with a space"], "expected a token without spaces"),
        (["--token", "p\u00e4ssw\u00f6rd"], "expected a token of at least 8 printable ASCII"),
        (["--token", "the-same-one", "--read-token", "the-same-one"], "expected two tokens"),
        (["--host", "no.such.host.invalid"], "cannot listen on no.such.host.invalid"),
    ],
)
def test_what_cannot_be_served(tmp_path: Path, options: list[str], message: str) -> None:
    arguments = ["hub", "serve", "--root", str(tmp_path / "x"), "--port", "0", *options]
    result = CliRunner().invoke(app, arguments)
    assert message in str(result.exception)
    assert result.stdout == ""


def test_a_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    result = CliRunner().invoke(app, ["hub", "serve", "--root", str(tmp_path / "x")])
    assert str(result.exception) == f"cannot use {str(tmp_path / 'x')!r}: File exists"

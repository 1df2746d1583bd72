"""How a command ends whose reader leaves, or whose disk or token fails it."""

import os
from pathlib import Path

import pytest
from forks import Forks

from rszoo.errors import HubError
from rszoo.hub import remote
from rszoo.hub._explained import explained
from rszoo.hub.catalog import find
from rszoo.hub.ids import HubId
from rszoo_cli import main

COMMANDS = ("ls", "show builtin/digits-cat_rs-0.50", "show builtin/digits-cat_rs-0.50 --json")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_leaves_is_no_failure(forks: Forks, tmp_path: Path, command: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(tmp_path / "err", "w+b") as err, open(writing, "wb") as out:
        process = forks.start("-m", "rszoo_cli", *command.split(), stdout=out, stderr=err)
        assert process.wait(timeout=60) == 0
    assert (tmp_path / "err").read_bytes() == b""


def test_a_file_that_no_message_knows_of_ends_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in-the-way").write_text("")
    with pytest.raises(SystemExit) as caught:
        main(["data", "digits", "--out", str(tmp_path / "in-the-way" / "a.json")])
    assert caught.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: cannot use '{tmp_path}/in-the-way'")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("token", "wrong"),
    [
        ("\u201chf_abc\u201d", "\u201c"),
        ("'hf_abc'", "'"),
        ("hf abc", " "),
        ("Bearer hf_abc", "Bearer"),
    ],
)
def test_a_token_that_is_none(monkeypatch: pytest.MonkeyPatch, token: str, wrong: str) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError) as caught:
        remote.head(HubId.parse("team/m"))
    assert f"got one with {wrong!r} in it: copy it again" in str(caught.value)
    assert "abc" not in str(caught.value), "no token is printed"


def test_a_cache_that_cannot_be_written_is_not_a_hub_that_cannot_be_reached() -> None:
    for error in (
        NotADirectoryError(20, "Not a directory", "/cache/x"),
        OSError(28, "No space left on device"),
        PermissionError(13, "Permission denied", "/cache/x"),
    ):
        said = r"^cannot use .* for team/m: .*; HF_HOME names"
        with pytest.raises(HubError, match=said), explained(HubId.parse("team/m")):
            raise error
    for error in (ConnectionRefusedError(111, "Connection refused"), TimeoutError("timed out")):
        with pytest.raises(HubError, match=r"^cannot reach "), explained(HubId.parse("team/m")):
            raise error


@pytest.mark.parametrize(
    "command",
    [
        "certify --model builtin/digits-gaussian-0.25 --n 100 --limit 1 --out a.tsv --json",
        "merge 1.tsv 2.tsv --out a.tsv --json",
        "data digits --out a.json --json",
    ],
)
def test_an_output_in_the_place_of_a_file_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forks: Forks, command: str
) -> None:
    """As in `rszoo certify --out a.tsv --json > a.json`: the protocol of the log is a.json."""
    monkeypatch.chdir(tmp_path)
    with open(tmp_path / "a.json", "wb") as out, open(tmp_path / "err", "w+b") as err:
        process = forks.start("-m", "rszoo_cli", *command.split(), stdout=out, stderr=err)
        assert process.wait(timeout=60) == 2
    words = " ".join((tmp_path / "err").read_text().replace("│", " ").split())
    assert "expected an output elsewhere, got one redirected to 'a.json', which is" in words
    assert not (tmp_path / "a.tsv").exists()
    assert (tmp_path / "a.json").read_bytes() == b""


def test_a_terminal_without_our_signs(
    forks: Forks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = find("builtin/digits-gaussian-0.25").evidence
    code = f"""
import io, sys
sys.stdout = io.TextIOWrapper(open("out", "wb"), encoding="ascii")
from rszoo_cli import main
main(["report", {str(log)!r}])
"""
    monkeypatch.chdir(tmp_path)
    with open("err", "wb") as told:
        assert forks.start("-c", code, stderr=told).wait(60) == 0
    assert "Traceback" not in Path("err").read_text()
    assert r"\xb1" in Path("out").read_text(encoding="ascii")  # a plus-minus sign

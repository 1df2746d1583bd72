"""What is written as a whole: a kill leaves the old file, and nothing that stays."""

import fcntl
import os
import signal
from pathlib import Path

import pytest
from forks import Forks

from rszoo import _files
from rszoo._files import remove, write_bytes_atomically

KILLED = """
import os, signal
from rszoo import _files
_files.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
_files.write_bytes_atomically("log.json", b"new")
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def left() -> set[str]:
    return {path.name for path in Path().iterdir()} - {"log.json"}


def test_what_a_killed_writer_left_is_gone_after_the_next(
    forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes_atomically("log.json", b"old")
    assert forks.start("-c", KILLED).wait(60) == -signal.SIGKILL
    assert Path("log.json").read_bytes() == b"old"
    (name,) = left()

    write_bytes_atomically("log.json", b"fresh")
    assert left() == {name}, "its writer may have just made it"
    monkeypatch.setattr(_files, "_FRESH", 0.0)
    write_bytes_atomically("other.json", b"")
    assert left() == {name, "other.json"}
    write_bytes_atomically("log.json", b"newest")
    assert left() == {"other.json"}
    assert Path("log.json").read_bytes() == b"newest"


def test_a_file_that_nobody_writes_any_more_goes_with_what_was_left_of_it(forks: Forks) -> None:
    remove(Path("log.json"))  # there is none
    write_bytes_atomically("log.json", b"old")
    write_bytes_atomically("other.json", b"")
    assert forks.start("-c", KILLED).wait(60) == -signal.SIGKILL
    assert left() > {"other.json"}
    remove(Path("log.json"))
    assert not Path("log.json").exists()
    assert left() == {"other.json"}


def test_what_somebody_else_is_writing_stays() -> None:
    at_work = Path(".log.json.0123abcd.tmp")
    with open(at_work, "xb") as file:
        os.utime(at_work, (0, 0))
        fcntl.flock(file, fcntl.LOCK_EX)
        write_bytes_atomically("log.json", b"mine")
        assert at_work.exists()
    write_bytes_atomically("log.json", b"mine")
    assert left() == set()

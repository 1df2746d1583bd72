"""What is seen of long work on terminals of 80 columns and more, and when the first of it is."""

import io
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from fcntl import ioctl
from subprocess import Popen

import pytest
from rich.console import Console

from rszoo.evaluation import progress_bar
from rszoo.evaluation.progress_bar import ProgressBar, fitting
from rszoo_cli import console as streams
from rszoo_cli.console import _Stream

NAME = "certify digits-smoothadv_consistency-0.25"
STATUS = "epoch 3, loss 0.1234, accuracy under noise 93.51%"


class Clock:
    """A time that goes on by a second whenever it is asked."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


def last_frame(monkeypatch: pytest.MonkeyPatch, *, width: int, status: str = STATUS) -> str:
    """Return a bar as it is seen last, before it is taken away."""
    clock = Clock()
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, get_time=clock.monotonic)
    monkeypatch.setattr(progress_bar, "time", clock)
    bar = ProgressBar(console, NAME, total=4_000_000, unit="draws")
    bar._bar.live.auto_refresh = False
    with bar:
        for _ in range(20):
            bar.advance(100_000)
        bar.status(status)
        bar._bar.refresh()
        text = file.getvalue()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")
    return shown.strip("\n").split("\n")[-1]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_bar_share_rate_and_time_left_are_seen_whatever_else_there_is_to_say(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    frame = last_frame(monkeypatch, width=width)
    assert len(frame) <= width
    assert re.search(r" ━+[╸╺━]*━* +50% [\d,]+ draws/s \d\d:\d\d ", frame), frame
    assert frame.startswith("certify digits-"), frame
    assert ("93.51%" in frame) == (width == 140), frame


def test_a_name_is_cut_where_the_numbers_need_its_place() -> None:
    narrow, wide = Console(width=80), Console(width=140)
    assert fitting(NAME, wide) == NAME
    assert fitting(NAME, narrow) == f"{NAME[:33]}…"
    assert fitting("a", narrow) == "a"


def test_what_waits_goes_when_there_is_something_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    stream = _Stream(file=file, width=80, force_terminal=True, markup=False)
    monkeypatch.setattr(streams, "err", stream)
    stream.wait("starting")
    assert "starting" in file.getvalue()
    assert stream._waiting is not None
    stream.print("a result")
    assert stream._waiting is None
    assert file.getvalue().count("starting") >= 1
    stream.wait("again")
    _Stream(file=io.StringIO()).print("to the other stream")
    assert stream._waiting is None
    stream.wait("once more")
    with ProgressBar(stream, "a", total=2, unit="draws"):  # two live displays would be an error
        assert stream._waiting is None


def test_nothing_waits_where_nobody_looks() -> None:
    file = io.StringIO()
    stream = _Stream(file=file, width=80)
    stream.wait("starting")
    stream.end_wait()
    assert not file.getvalue()


def test_a_long_command_says_at_once_that_it_starts() -> None:
    seen, own = pty.openpty()
    ioctl(own, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    command = [sys.executable, "-m", "rszoo_cli", "train", "no-such-recipe"]
    began = time.monotonic()
    with Popen(command, stdout=own, stderr=own, env=os.environ | {"TERM": "xterm"}) as running:
        text = b""
        while b"rszoo train: starting" not in text and running.poll() is None:
            if select.select([seen], [], [], 1.0)[0]:
                text += os.read(seen, 4096)
            assert time.monotonic() - began < 60.0, text
        running.wait(60.0)
    os.close(own)
    assert b"starting" in text  # and not what is wrong with the recipe, which comes later

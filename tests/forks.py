"""Python processes that are ready at once: forks of one that has imported what is slow.

    python forks.py SOCKET ARGUMENT...   is `python ARGUMENT...`, for what starts programs

A fork has the streams, folder and environment of its caller, and is a process of its own: what is
proven of its locks, signals and exit codes holds for any `python`. If its caller is killed, it is
killed too. Fresh MLflow stores are copies (see stores.py).
"""

import fcntl
import json
import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from typing import IO

_FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
NUMBER = b"%16d"  # as it is sent: an id, then an exit code
_PATIENCE = 300.0  # seconds


class Fork:
    """A Python process, with what tests want of `subprocess.Popen`.

    Attributes:
        pid: its own, so that signals take no detour.
        returncode: None while it runs; -n if signal n ended it.
    """

    def __init__(self, address: str, arguments: Sequence[str], streams: Sequence[int]) -> None:
        self.returncode: int | None = None
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(address)
        socket.send_fds(self._connection, [b"."], streams)
        request = {"arguments": arguments, "folder": os.getcwd(), "env": dict(os.environ)}
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        self.pid = self._number()

    def _number(self) -> int:
        return int(self._connection.recv(16, socket.MSG_WAITALL))

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code.

        Raises:
            TimeoutExpired: it still runs.
        """
        if self.returncode is None:
            if not select([self._connection], [], [], timeout)[0]:
                raise TimeoutExpired(f"fork {self.pid}", timeout or 0.0)
            self.returncode = self._number()
            self._connection.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        with suppress(TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)


class Forks:
    """Starts Python processes without the seconds that an interpreter needs for its imports.

    Attributes:
        command: what stands for `[sys.executable]` where something else starts the process.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.command = [sys.executable, "-S", "-E", __file__, address]

    def start(
        self,
        *arguments: str,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
        stderr: IO[bytes] | None = None,
    ) -> Fork:
        """Start `python ARGUMENTS`, in the folder and environment of this process.

        Args:
            arguments: `-m MODULE ...`, `-c CODE ...` or `FILE ...`.
            stdin: None is os.devnull.
            stdout, stderr: None are those of this process.
        """
        with open(os.devnull, "rb") as nothing:
            given = [(stdin or nothing).fileno()]
            given += [
                number if file is None else file.fileno()
                for number, file in ((1, stdout), (2, stderr))
            ]
            return Fork(self.address, arguments, given)


def write_command(path: Path, *words: str) -> None:
    """Write a command for the PATH: these words, and the arguments that it gets."""
    path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    path.chmod(0o755)


@contextmanager
def at_once() -> Iterator[IO[bytes]]:
    """Give a stdin for processes, which ends for all of them at the end of the block."""
    ours, theirs = os.pipe()
    with open(theirs, "wb"), open(ours, "rb") as stdin:
        yield stdin


def kill_when(condition: Callable[[], bool], process: "Fork | Popen[bytes]") -> None:
    """Kill a process as soon as the condition holds."""
    try:
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        process.kill()
    assert process.wait(_PATIENCE) == -signal.SIGKILL


@contextmanager
def forking(folder: Path, store: Path) -> Iterator[Forks]:
    """Run a server, with its socket in a folder; whoever names the same folder shares it."""
    from rszoo._locks import exclusive  # which `call` has no path to

    address, starting = folder / "forks", folder / "forks.lock"
    with open(folder / "forks.users", "w") as users:
        with exclusive(starting):
            fcntl.flock(users, fcntl.LOCK_SH)
            server = None if address.exists() else _started(str(address), store)
        try:
            yield Forks(str(address))
        finally:
            if server is not None:
                with exclusive(starting):
                    fcntl.flock(users, fcntl.LOCK_EX)  # once nobody else uses it
                    os.killpg(server.pid, signal.SIGKILL)  # with whatever it still runs
                    server.wait()
                    address.unlink()


def _started(address: str, store: Path) -> "Popen[bytes]":
    env = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    server = Popen(
        [sys.executable, str(Path(__file__).with_name("fork_server.py")), address, str(store)],
        env=env | {"OMP_NUM_THREADS": "1"},
        stdin=DEVNULL,
        stdout=PIPE,
        start_new_session=True,
    )
    assert server.stdout is not None
    with server.stdout as said:
        ready = said.readline() == b"ready\n"
    if not ready:
        server.kill()
        server.wait()
    assert ready, "the server of forks ended"
    return server


def call(address: str, arguments: Sequence[str]) -> int:
    """Be the process that a fork is: pass signals on to it, and end as it does."""
    fork = Fork(address, arguments, [0, 1, 2])
    for number in _FORWARDED:
        signal.signal(number, lambda number, _: fork.send_signal(number))
    code = fork.wait()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    address, *given = sys.argv[1:]
    sys.exit(call(address, given))

"""A Python interpreter that is ready at once: a fork of one that has imported what is slow.

    python forks.py serve SOCKET STORE        imports, and forks for whoever asks it to
    python forks.py call SOCKET ARGUMENT...   is `python ARGUMENT...`, for what starts programs

A fork has the streams, folder and environment of its caller, and is a process of its own: what is
proven of its locks, signals and exit codes holds for any `python`. If its caller is killed, it is
killed too. Fresh MLflow stores are copies of STORE (see stores.py).
"""

import atexit
import gc
import json
import os
import random
import runpy
import shlex
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from select import select
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from typing import IO

# Nothing that reads the environment when it is imported, as huggingface_hub and rszoo_cli do.
_SLOW_TO_IMPORT = (
    "alembic.command",
    "git",
    "matplotlib.pyplot",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.tracing.processor.otel",
    "mlflow.utils.search_logged_model_utils",
    "rszoo.evaluation.certify",
    "rszoo.training.run",
    "safetensors.torch",
    "scipy.signal",
    "scipy.stats",
    "sklearn.datasets",
    "sqlalchemy.dialects.sqlite",
    "torch._dynamo",  # by the first optimizer
    "torch.utils.serialization",
    "typer.main",
)
_FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
_WIDTH = 16  # bytes of a number that is sent
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
        return int(self._connection.recv(_WIDTH, socket.MSG_WAITALL))

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
        self.command = [sys.executable, "-S", "-E", __file__, "call", address]

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
    """Run a server, with its socket in a folder."""
    address = str(folder / "forks")
    env = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    server = Popen(
        [sys.executable, __file__, "serve", address, str(store)],
        env=env | {"OMP_NUM_THREADS": "1"},
        stdin=DEVNULL,
        stdout=PIPE,
        start_new_session=True,
    )
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == b"ready\n"
        yield Forks(address)
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # with whatever it still runs
        server.wait()
        server.stdout.close()


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


def serve(address: str, store: str) -> None:
    """Fork for every call. Ends when it is killed."""
    for name in _SLOW_TO_IMPORT:
        import_module(name)
    from stores import copied_stores

    gc.collect()
    gc.freeze()  # what forks share, they need not look through
    with copied_stores(Path(store)), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os._exit(_attend(connection))
            connection.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _attend(connection: socket.socket) -> int:
    """Fork for a call; tell its end, or make an end of it when the caller is gone."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    request = json.loads(connection.makefile("rb").readline())
    pid = os.fork()
    if pid == 0:
        connection.close()
        _be(streams, **request)
    for stream in streams:
        os.close(stream)

    def follow() -> None:
        if not connection.recv(1):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    connection.sendall(f"{pid:{_WIDTH}}".encode())
    threading.Thread(target=follow, daemon=True).start()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(OSError):
        connection.sendall(f"{code:{_WIDTH}}".encode())
    return 0


def _be(streams: Sequence[int], *, arguments: list[str], folder: str, env: dict[str, str]) -> None:
    """Be `python ARGUMENTS`, to its end."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(folder)
    elsewhere = env.get("PYTHONPATH") != os.environ.get("PYTHONPATH")
    os.environ.clear()
    os.environ.update(env)
    if elsewhere:  # there may be another rszoo
        sys.path[1:1] = env.get("PYTHONPATH", "").split(os.pathsep)
        for name in [name for name in sys.modules if name.partition(".")[0] == "rszoo"]:
            del sys.modules[name]
    random.seed()
    code = 1
    try:
        _execute(*arguments)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    # The end of an interpreter, but for taking every module apart, which takes a second.
    vars(threading)["_shutdown"]()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _execute(first: str, *rest: str) -> None:
    sys.path[0] = ""
    if first == "-m":
        sys.argv = list(rest)
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(rest[0], {"__name__": "__main__"})
    elif first == "-":
        sys.argv = ["-", *rest]
        exec(sys.stdin.read(), {"__name__": "__main__"})
    else:
        sys.argv = [first, *rest]
        sys.path[0] = str(Path(first).parent)
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    role, address, *rest = sys.argv[1:]
    sys.exit(call(address, rest) if role == "call" else serve(address, *rest))

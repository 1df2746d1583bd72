"""The process that forks.py's processes are forks of: `python fork_server.py SOCKET STORE`.

Fresh MLflow stores are copies of STORE, the tables of one.
"""

import atexit
import gc
import json
import os
import random
import runpy
import secrets
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from select import select

from forks import NUMBER

# Nothing that reads the environment when it is imported, as huggingface_hub and rszoo_cli do.
_SLOW_TO_IMPORT = (
    "alembic.command",
    "git",
    "matplotlib.pyplot",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.tracing.processor.otel",
    "mlflow.utils.search_logged_model_utils",
    "rich.markdown",
    "rich.traceback",
    "rszoo.evaluation.certify",
    "rszoo.hub.catalog",
    "rszoo.hub.job",
    "rszoo.training.run",
    "rszoo.training.tracking.recording",
    "safetensors.torch",
    "scipy.signal",
    "scipy.stats",
    "sklearn.datasets",
    "sqlalchemy.dialects.sqlite",
    "torch._dynamo",  # by the first optimizer
    "torch.utils.serialization",
    "typer.main",
)


def serve(address: str, store: str) -> None:
    """Fork for every call. Ends when it is killed."""
    for name in _SLOW_TO_IMPORT:
        import_module(name)
    from stores import copied_stores
    from unsynced import unsynced

    secrets.randbits = lambda k: 0  # seeds of certificates: a page that fails is to fail again
    _look_up()
    gc.collect()
    gc.freeze()  # what forks share, they need not look through
    with (
        unsynced(),
        copied_stores(Path(store)),
        socket.socket(socket.AF_UNIX) as listener,
    ):
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        _attend(listener)


def _look_up() -> None:
    """Load what is found by its name, when something asks for it."""
    from rszoo import data
    from rszoo.certificates import kinds as certificates
    from rszoo.hub import kinds as bundles

    data.load("digits", "train")
    certificates.kinds()
    bundles.all_kinds()


def _attend(listener: socket.socket) -> None:
    """Fork for each caller, tell it the end, and make an end when the caller is gone."""
    ended, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    callers: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select([listener, ended, *callers.values()], [], [])
        for pid in [pid for pid, caller in callers.items() if caller in ready]:
            os.kill(pid, signal.SIGKILL)
            callers.pop(pid).close()
        if ended in ready:
            ended.recv(1024)
            _tell_ends(callers)
        if listener in ready:
            caller, _ = listener.accept()
            with suppress(OSError):  # it was killed at once
                pid = _fork(caller)
                callers[pid] = caller
                caller.sendall(NUMBER % pid)


def _tell_ends(callers: dict[int, socket.socket]) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            if pid in callers:
                with callers.pop(pid) as caller, suppress(OSError):
                    caller.sendall(NUMBER % os.waitstatus_to_exitcode(status))


def _fork(caller: socket.socket) -> int:
    """Start what a caller asks for; return its process id."""
    _, streams, _, _ = socket.recv_fds(caller, 1, 3)
    with caller.makefile("rb") as request:
        line = request.readline()
    if not line.endswith(b"\n"):
        for stream in streams:
            os.close(stream)
        raise ConnectionAbortedError("the caller was killed before it had asked")
    asked = json.loads(line)
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _be(streams, **asked)
    for stream in streams:
        os.close(stream)
    return pid


def _be(streams: Sequence[int], *, arguments: list[str], folder: str, env: dict[str, str]) -> None:
    """Be `python ARGUMENTS`, to its end."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    # Those of before remember whether what they wrote to had a position.
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = open(
        2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
    )
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
    serve(*sys.argv[1:])

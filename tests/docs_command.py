"""The `rszoo` command of the docs' tests: real, but ready at once, and cheap.

    python docs_command.py serve SOCKET           imports what is slow to import, and waits
    python docs_command.py call SOCKET ARGUMENT... what `rszoo ARGUMENT...` runs in a page

A call hands its streams, folder and environment to a fork of the server, in which the command
runs as in a process of its own. `CHEAPER` is all that differs from what the reader does.
"""

import json
import os
import socket
import sys
from contextlib import suppress
from importlib import import_module

SLOW_TO_IMPORT = (
    "matplotlib.pyplot",
    "mlflow.store.tracking.sqlalchemy_store",
    "safetensors.torch",
    "scipy.stats",
    "sklearn.datasets",
    "torch",
)
#: Appended to what a page says; the last of two equal options counts.
CHEAPER = {
    "train": ["train.epochs=2"],
    "certify": ["--n", "500", "--limit", "60"],
    "verify": ["--n", "500", "--seed", "1"],
}


def call(path: str, arguments: list[str]) -> int:
    """Have the server run a command; return its exit code."""
    if arguments[:2] == ["hub", "serve"]:  # ends with the page's shell
        port = ["--port", os.environ["DOCS_HUB_PORT"]]
        os.execv(sys.executable, [sys.executable, "-m", "rszoo_cli", *arguments, *port])
    if "--help" not in arguments:
        arguments = [*arguments, *CHEAPER.get(arguments[0], [])]
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        socket.send_fds(server, [b"."], [0, 1, 2])
        request = {"arguments": arguments, "folder": os.getcwd(), "env": dict(os.environ)}
        server.sendall(json.dumps(request).encode())
        server.shutdown(socket.SHUT_WR)
        return int(server.recv(8) or b"1")


def serve(path: str) -> None:
    """Run each command in a fork. Ends when it is killed."""
    for name in SLOW_TO_IMPORT:
        import_module(name)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                _run(connection)
            connection.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _run(connection: socket.socket) -> None:
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    request = json.loads(connection.makefile("rb").read())
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    sys.argv = ["rszoo", *request["arguments"]]
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[:0] = os.environ["PYTHONPATH"].split(os.pathsep)  # a page may change the package
    code = 1
    try:
        from rszoo_cli import main

        main(request["arguments"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(str(code).encode())
        os._exit(code)


if __name__ == "__main__":
    role, address, *rest = sys.argv[1:]
    sys.exit(call(address, rest) if role == "call" else serve(address))

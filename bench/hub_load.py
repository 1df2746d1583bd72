"""What a hub costs under load: commits as they become many, and downloads of a small file.

    python bench/hub_load.py OLD/.venv/bin/rszoo .venv/bin/rszoo --commits 200 2000

Each command serves a hub of its own on this machine, and takes its turn with the others. A commit
adds a file of 100 bytes; a download is a GET of 4 kB over one of 100 connections that stay open.
The load comes from this process.
"""

import argparse
import base64
import http.client
import json
import os
import resource
import selectors
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TOKEN = "a-token-for-benchmarks"
BODY = b"0123456789abcdef" * 256


class Hub:
    """A hub that is served by a command, and a connection to it."""

    def __init__(self, url: str, root: Path, process: int, *, name: str = "model") -> None:
        self.root, self.host, self.process = root, urlsplit(url).netloc, process
        self.repo = f"team/{name}"
        self.connection = http.client.HTTPConnection(self.host, timeout=120)
        new = {"name": name, "organization": "team"}
        self.send("POST", "/api/repos/create", new, allowed=(200, 409))

    def send(
        self, method: str, path: str, *lines: object, allowed: tuple[int, ...] = (200,)
    ) -> tuple[bytes, str]:
        """Return the body of an answer, and the path of the next page."""
        body = "\n".join(map(json.dumps, lines)) if lines else None
        self.connection.request(method, path, body, {"Authorization": f"Bearer {TOKEN}"})
        answer = self.connection.getresponse()
        text, link = answer.read(), answer.headers["Link"] or ""
        assert answer.status in allowed, text
        return text, link.partition(self.host)[2].partition(">")[0]

    def get(self, path: str) -> bytes:
        return self.send("GET", path)[0]

    def page(self, path: str) -> tuple[list[dict[str, Any]], str]:
        text, following = self.send("GET", path)
        return json.loads(text), following

    def commit(self, path: str, body: bytes) -> float:
        """Add a file, and return how many seconds it took."""
        content = base64.b64encode(body).decode()
        begun = time.perf_counter()
        self.send(
            "POST",
            f"/api/models/{self.repo}/commit/main",
            {"key": "header", "value": {"summary": path}},
            {"key": "file", "value": {"path": path, "content": content, "encoding": "base64"}},
        )
        return time.perf_counter() - begun

    def cpu_seconds(self) -> float:
        """Return the time that the hub's process has computed so far."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def size_of_commits(self) -> int:
        folders = (self.root / "repos", self.root / "commits")
        files = (path for folder in folders for path in folder.rglob("*"))
        return sum(path.stat().st_size for path in files if path.is_file())


@contextmanager
def serving(command: str) -> Iterator[Hub]:
    """Serve an empty hub for the length of a block."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [command, "hub", "serve", "--root", folder, "--port", "0", "--token", TOKEN],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            yield Hub(process.stdout.readline().split()[1], Path(folder), process.pid)
        finally:
            process.terminate()
            process.wait()


def downloads(hub: Hub, *, connections: int, seconds: float) -> list[float]:
    """Return the seconds that each download took, of as many as there were in the time."""
    request = (
        f"GET /{hub.repo}/resolve/main/file.json HTTP/1.1\r\nHost: {hub.host}\r\n\r\n".encode()
    )
    address, port = hub.host.split(":")
    times: list[float] = []
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        open_ones = []
        for _ in range(connections):
            one = stack.enter_context(socket.create_connection((address, int(port))))
            open_ones.append(one)
            selector.register(one, selectors.EVENT_READ)
        begun = dict.fromkeys(open_ones, time.perf_counter())
        got = {one: bytearray() for one in open_ones}
        for one in open_ones:
            one.sendall(request)
        end = time.perf_counter() + seconds
        while (now := time.perf_counter()) < end:
            for key, _ in selector.select(1.0):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                got[one] += one.recv(1 << 16)
                if got[one].endswith(BODY):
                    now = time.perf_counter()
                    times.append(now - begun[one])
                    assert got[one].startswith(b"HTTP/1.1 200 ")
                    begun[one], got[one] = now, bytearray()
                    one.sendall(request)
    return times


def measure_downloads(commands: Sequence[str], *, turns: int, seconds: float) -> None:
    """Print what the hubs of some commands do in turn; other work on the machine hits all."""
    found: dict[str, list[tuple[float, float, float]]] = {command: [] for command in commands}
    with ExitStack() as stack:
        hubs = {command: stack.enter_context(serving(command)) for command in commands}
        for hub in hubs.values():
            hub.commit("file.json", BODY)
        for turn in range(turns + 1):
            for command, hub in hubs.items():
                before = hub.cpu_seconds()
                times = downloads(hub, connections=100, seconds=seconds)
                used = (hub.cpu_seconds() - before) / len(times)
                if turn:  # the first is to warm up
                    p99 = statistics.quantiles(times, n=100)[-1]
                    found[command].append((len(times) / seconds, 1e3 * p99, 1e6 * used))
    first = list(zip(*found[commands[0]], strict=True))
    for command, values in found.items():
        now = list(zip(*values, strict=True))
        for name, old, new in zip(
            ("per second", "p99 in ms", "CPU in us"), first, now, strict=True
        ):
            ratios = [one / other for one, other in zip(new, old, strict=True)]
            print(f"{command}: {name} {spread(new, 0)}; against the first {spread(ratios, 2)}")


def spread(values: Sequence[float], digits: int) -> str:
    least, most = min(values), max(values)
    return f"{statistics.median(values):.{digits}f} ({least:.{digits}f}-{most:.{digits}f})"


def measure_commits(command: str, count: int) -> None:
    with serving(command) as hub:
        times = [hub.commit(f"file-{number}.txt", b"%0100d" % number) for number in range(count)]
        size = hub.size_of_commits()
    few = max(1, min(50, count // 4))
    first, last = statistics.median(times[:few]), statistics.median(times[-few:])
    print(
        f"{command}: {count} commits, median of the first {few} {1000 * first:.1f} ms, of the "
        f"last {few} {1000 * last:.1f} ms ({last / first:.2f} times), {size / 1e6:.2f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commands", nargs="+", help="rszoo commands; the first is compared with")
    parser.add_argument("--commits", type=int, nargs="*", help="how many, for each command")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    for command, count in zip(options.commands, options.commits or (), strict=False):
        measure_commits(command, count)
    if options.turns:
        measure_downloads(options.commands, turns=options.turns, seconds=options.seconds)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"CPU seconds of the hubs: {used.ru_utime + used.ru_stime:.0f}")


if __name__ == "__main__":
    main()

"""What the hub does not wait for, and does not hold: tried with limits that are low."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hub_server import RunningHub, Server, running
from hub_wire import BODY, NAME, Wire, path_of

from rszoo.hub_server.limits import Limits

HEAD = "{} {} HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.fixture(scope="module")
def strict_server() -> Iterator[Server]:
    with running(
        head=0.4, pause=0.4, slowest=1000.0, connections=8, body_of_anybody=1000, body=3000
    ) as server:
        yield server


@pytest.fixture
def strict(
    tmp_path: Path, hub_client: Callable[[str], None], strict_server: Server
) -> Iterator[Wire]:
    with strict_server.hub(tmp_path / "hub-root") as hub:
        hub_client(hub.url)
        _created(hub)
        yield Wire(hub)


def _created(hub: RunningHub, attempts: int = 5) -> None:
    """Make the repository; where much else runs, time may be over before the client is heard."""
    try:
        hub.api.create_repo(NAME, exist_ok=True)
    except Exception as error:  # of whichever HTTP library the client has
        if "disconnected" not in str(error) or not attempts:
            raise
        _created(hub, attempts - 1)


def connected(hub: RunningHub) -> socket.socket:
    host, port = urlsplit(hub.url).netloc.split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def is_closed(connection: socket.socket, within: float) -> bool:
    """Return whether the hub closes a connection, whatever it says before."""
    connection.settimeout(within)
    try:
        while connection.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("sent", ["", "GE", HEAD.format("GET", "/") + "X-Long: "])
def test_half_a_head_is_not_waited_for(strict: Wire, sent: str) -> None:
    with connected(strict.hub) as connection:
        connection.sendall(sent.encode())
        assert is_closed(connection, within=10)


def test_a_head_that_drips_is_not_waited_for(strict: Wire) -> None:
    with connected(strict.hub) as connection:
        connection.sendall(b"GET /")
        begun = time.monotonic()
        while not is_closed(connection, within=0.05):
            assert time.monotonic() - begun < 10
            with suppress(ConnectionError):
                connection.sendall(b"X")


def test_half_a_body_is_not_waited_for(strict: Wire) -> None:
    address = path_of(strict.upload_address(BODY)["actions"]["upload"]["href"])
    uploads = strict.hub.root / "uploads"
    paths = f"/api/models/{NAME}/paths-info/main"
    for method, path in (("PUT", address), ("POST", paths)):
        with connected(strict.hub) as connection:
            head = HEAD.format(method, path) + "Content-Length: 30\r\n\r\n"
            connection.sendall(head.encode() + BODY[:10])
            assert is_closed(connection, within=10)
    assert list(uploads.iterdir()) == []
    assert strict("PUT", address, BODY).status == 200


def test_a_body_that_drips_is_not_waited_for(strict: Wire) -> None:
    with connected(strict.hub) as connection:
        head = HEAD.format("POST", f"/api/models/{NAME}/paths-info/main")
        connection.sendall(head.encode() + b"Content-Length: 900\r\n\r\n")
        for _ in range(20):
            try:
                connection.sendall(b"a=b&")
            except ConnectionError:
                break
            time.sleep(0.05)
        answer = connection.recv(1 << 16)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"expected at least 1000 bytes per second" in answer


def test_an_answer_that_is_not_taken_is_not_kept(strict: Wire) -> None:
    body = bytes(1 << 23)  # more than the system keeps for a connection
    strict.hub.api.upload_file(path_or_fileobj=body, path_in_repo="big.bin", repo_id=NAME)
    with connected(strict.hub) as connection:
        head = HEAD.format("GET", f"/{NAME}/resolve/main/big.bin") + "\r\n"
        connection.sendall(head.encode())
        time.sleep(2)
        got = 0
        with suppress(ConnectionError):
            while block := connection.recv(1 << 16):
                got += len(block)
        assert 0 < got < len(body)


def test_bodies_without_a_token_are_small(strict: Wire) -> None:
    path, body = f"/api/models/{NAME}/paths-info/main", b"paths=f&" * 150
    assert strict("POST", path, body).status == 413
    assert strict("POST", path, body[:800]).status == 200
    assert strict("POST", path, body, token=strict.hub.read_token).status == 200
    assert strict("POST", path, 3 * body, token=strict.hub.token).status == 413


def test_idle_connections_keep_nobody_out(strict: Wire) -> None:
    with ExitStack() as stack:
        for number in range(30):  # of 8
            connection = stack.enter_context(connected(strict.hub))
            connection.sendall(b"GET /" if number % 2 else b"")
        begun = time.monotonic()
        assert strict("GET", "/api/models").status == 200
        assert time.monotonic() - begun < 5


def test_busy_connections_are_not_cut_for_others(
    tmp_path: Path, hub_client: Callable[[str], None]
) -> None:
    head = HEAD.format("POST", f"/api/models/{NAME}/paths-info/main") + "Content-Length: 7\r\n\r\n"
    with running(connections=2) as server, server.hub(tmp_path / "root") as hub:
        hub_client(hub.url)
        hub.api.create_repo(NAME)
        with ExitStack() as stack:
            busy = [stack.enter_context(connected(hub)) for _ in range(2)]
            for connection in busy:
                connection.sendall(head.encode() + b"paths=")
            time.sleep(0.3)
            refused = stack.enter_context(connected(hub))
            assert refused.recv(100).startswith(b"HTTP/1.1 503 ")
            for connection in busy:
                connection.sendall(b"f")
                assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        assert Wire(hub)("GET", "/api/models").status == 200


def test_limits_fit_the_files_that_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    for most, connections in ((100, 26), (1024, 488), (1 << 20, 512), (-1, 512), (10, 1)):
        monkeypatch.setattr("resource.getrlimit", lambda _, most=most: (most, most))
        assert Limits.of_process().connections == connections


def test_a_long_body_of_many_lines_is_read(wire: Wire) -> None:
    lines = [{"key": "header", "value": {"summary": "x"}}]
    lines += [{"key": "file", "value": {"path": f"{n}", "content": "x"}} for n in range(50)]
    body = "\n".join(map(json.dumps, lines)).encode()
    assert wire.write("POST", f"/api/models/{NAME}/commit/main", body).status == 200

"""A real hub for tests: uvicorn on a free port, and faults on demand.

    def test_something(hub: RunningHub) -> None:
        hub.faults.fail("/commit/", times=1)
        hub.api.create_repo("org/name")

`huggingface_hub` is pointed at it, with Xet off and its caches in the test's own folder.
"""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN = "hf_write_token"
READ_TOKEN = "hf_read_token"


class Cut(Exception):
    """The connection is to be closed in the middle of a body."""


@dataclass
class Faults:
    """An application that sometimes fails, and remembers what it was asked.

    Attributes:
        requests: "METHOD /path" of every request, in order.
        ranges: the header Range of every download that had one.
    """

    app: "ASGIApp"
    requests: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    failing: list[list[Any]] = field(default_factory=list)
    cutting: list[tuple[str, int]] = field(default_factory=list)
    losing: list[str] = field(default_factory=list)

    def fail(self, pattern: str, *, times: int, status: int = 503) -> None:
        """Answer the next requests whose "METHOD /path" matches with an error."""
        self.failing.append([pattern, times, status])

    def lose(self, pattern: str) -> None:
        """Do what the next request that matches asks for, and answer that the hub is busy."""
        self.losing.append(pattern)

    def cut(self, pattern: str, *, after: int) -> None:
        """Close the connection once, after so many bytes of the body of a matching request."""
        self.cutting.append((pattern, after))

    def count(self, pattern: str) -> int:
        """Return how many requests matched so far."""
        return sum(re.search(pattern, request) is not None for request in self.requests)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        request = f"{scope['method']} {scope['raw_path'].decode()}"
        self.requests.append(request)
        self.ranges += [value.decode() for name, value in scope["headers"] if name == b"range"]
        for fault in self.failing:
            if fault[1] and re.search(fault[0], request):
                fault[1] -= 1
                await _answer(send, fault[2])
                return
        for pattern in self.losing:
            if re.search(pattern, request):
                self.losing.remove(pattern)
                await self.app(scope, receive, _unheard)
                await _answer(send, 503)
                return
        await self.app(scope, receive, self._cutting(request, send))

    def _cutting(self, request: str, send: "Send") -> "Send":
        for cut in self.cutting:
            if re.search(cut[0], request):
                self.cutting.remove(cut)
                left = cut[1]
                break
        else:
            return send

        async def sending(message: "Message") -> None:
            nonlocal left
            body = message.get("body", b"")
            if len(body) > left:
                await send(message | {"body": body[:left], "more_body": True})
                raise Cut
            left -= len(body)
            await send(message)

        return sending


async def _answer(send: "Send", status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _unheard(message: "Message") -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class RunningHub:
    """A hub that answers.

    Attributes:
        url, root: its address and its folder.
        token, read_token: may write; may only read.
        faults: makes it fail, and knows what it was asked.
    """

    url: str
    root: Path
    faults: Faults
    token: str = TOKEN
    read_token: str = READ_TOKEN

    @property
    def api(self) -> "HfApi":
        """A client that may write."""
        return self.client(self.token)

    def client(self, token: str | bool | None) -> "HfApi":
        """Return a client with a token, or with none for False."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.url, token=token)


class Server:
    """A real uvicorn in a thread, set up as by `rszoo hub serve`, for one hub after the other."""

    def __init__(self, **limits: float) -> None:
        import uvicorn

        from rszoo.hub_server.connections import Listener, server_config
        from rszoo.hub_server.limits import Limits

        self.app: ASGIApp | None = None
        self.limits = Limits(**limits)  # type: ignore[arg-type]
        listener = socket.create_server(("127.0.0.1", 0))
        self.listener = Listener(fileno=listener.detach())
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.server = uvicorn.Server(server_config(self, self.limits))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        assert self.app is not None, "no test has a hub now"
        await self.app(scope, receive, send)

    @contextmanager
    def hub(self, root: Path, **options: int) -> "Iterator[RunningHub]":
        """Serve the hub in a folder; `options` are `page_size` and `part_size`."""
        from rszoo.hub_server.access import Access
        from rszoo.hub_server.app import make_app
        from rszoo.hub_server.context import Hub
        from rszoo.hub_server.store import open_store

        with open_store(root) as store:
            access = Access(token=TOKEN, read_token=READ_TOKEN)
            hub = Hub(store=store, access=access, limits=self.limits, **options)
            app = make_app(hub, hosts=["127.0.0.1"])
            self.app = faults = Faults(app)
            try:
                yield RunningHub(url=self.url, root=root, faults=faults)
            finally:
                self.app = None


@contextmanager
def running(**limits: float) -> Iterator[Server]:
    """Give a server that answers, and end it."""
    server = Server(**limits)
    server.thread.start()
    try:
        yield server
    finally:
        server.server.should_exit = True
        server.thread.join()


@pytest.fixture(scope="session")
def hub_server() -> Iterator[Server]:
    """The server of all tests; `hub` puts a fresh hub into it."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def other_server() -> Iterator[Server]:
    """A second server, for hubs with other settings."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def hub_session() -> Iterator[None]:
    """The connections of `huggingface_hub`; to prepare a TLS that no test needs takes longest."""
    yield
    from huggingface_hub import close_session

    close_session()


@pytest.fixture
def hub_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_pictures: None, hub_session: None
) -> Iterator[Callable[[str], None]]:
    """Keep `huggingface_hub` in the test's own folder; call it to point it at a hub."""
    import huggingface_hub.utils
    from huggingface_hub import constants

    home = tmp_path / "hf-home"
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "HF_HOME": home,
        "HF_HUB_DISABLE_XET": 1,
        "HF_HUB_DISABLE_TELEMETRY": 1,
        "HF_HUB_DISABLE_UPDATE_CHECK": 1,
    }.items():
        monkeypatch.setenv(name, str(value))  # for commands that a test starts
    monkeypatch.setattr(constants, "HF_HOME", str(home))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(home / "assets"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(home / "stored_tokens"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(home / "agents"), raising=False)
    huggingface_hub.utils.disable_progress_bars()

    def point(url: str) -> None:
        monkeypatch.setenv("HF_ENDPOINT", url)
        monkeypatch.setattr(constants, "ENDPOINT", url)
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

    yield point
    huggingface_hub.utils.enable_progress_bars()


@pytest.fixture
def hub(
    tmp_path: Path, hub_client: Callable[[str], None], hub_server: Server
) -> Iterator[RunningHub]:
    """A running hub, empty, to which `huggingface_hub` turns by default."""
    with hub_server.hub(tmp_path / "hub-root") as running:
        hub_client(running.url)
        yield running

"""What the explorer refuses, and how what it computes is ended."""

import asyncio
import http.client
import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from explorer import HOST, client_of, opened
from forks import Forks
from hub_server import Server
from starlette.testclient import TestClient
from typer.testing import CliRunner

from rszoo import explorer
from rszoo.errors import RszooError
from rszoo.explorer import asked
from rszoo.explorer import serve as serving
from rszoo.explorer.app import make_app
from rszoo.explorer.session import Session
from rszoo.explorer.work import Busy, Emit, Worker
from rszoo_cli import app

MODEL = "digits-gaussian-0.25"
STATIC = Path(explorer.__file__).parent / "static"


@pytest.fixture(scope="module")
def session() -> Session:
    return opened(MODEL)


@pytest.fixture
def client(session: Session) -> Iterator[TestClient]:
    with client_of(session) as client:
        yield client


PATHS = [
    ("GET", "/model"),
    ("GET", "/voters"),
    ("GET", "/tests/1"),
    ("GET", "/static/page.js"),
    ("POST", "/images"),
    ("POST", "/certify"),
    ("POST", "/move"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({"Host": "evil.example"}, 400),
        ({"Host": "127.0.0.1.evil.example:8000"}, 400),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"https://{HOST}"}, 403),
        ({"Origin": "http://127.0.0.1:9999"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_another_page_is_refused(
    client: TestClient, method: str, path: str, header: dict[str, str], status: int
) -> None:
    assert client.request(method, path, headers=header).status_code == status


def test_its_own_page_is_not(client: TestClient) -> None:
    own = {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}
    assert client.get("/model", headers=own).status_code == 200
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200  # a link


def test_the_policy_is_on_every_answer(client: TestClient) -> None:
    foreign = client.get("/model", headers={"Origin": "http://evil.example"})
    answers = [client.get(path) for path in ("/", "/model", "/static/page.js", "/nothing")]
    for answer in (*answers, foreign, client.post("/images", content=b"")):
        policy = answer.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= {*policy}
        assert "unsafe" not in str(policy)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers


def test_the_page_needs_nothing_that_the_policy_forbids(client: TestClient) -> None:
    page = client.get("/").text
    named = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {*named} == {"/static/style.css", "/static/page.js"}
    assert not re.search(r"<[^>]+\s(on\w+|style)=", page)
    scripts = {path.name: path.read_text() for path in STATIC.glob("*.js")}
    for text in (page, *scripts.values()):
        assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)
    for name in (*scripts, "style.css"):
        assert client.get(f"/static/{name}").status_code == 200


@pytest.mark.parametrize(
    "path", ["../app.py", "..%2Fapp.py", "%2e%2e/app.py", "none.js", "static"]
)
def test_no_other_file_is_served(client: TestClient, path: str) -> None:
    assert client.get(f"/static/{path}").status_code == 404


def test_a_body_that_is_too_large(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rszoo.explorer.app.MOST_BODY", 1000)

    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(100)

    stated = client.post("/images", content=bytes(1001))
    assert stated.json() == {"error": "expected at most 1,000 bytes, got 1001"}
    unstated = client.post("/images", content=pieces())
    assert unstated.json() == {"error": "expected at most 1,000 bytes, got more"}
    assert client.post("/certify", content=b"{").status_code == 400
    assert asked.MOST_BODY <= 1 << 25


async def first(worker: Worker, job: object) -> str:
    """Return the first event of a job, and end it."""
    events = worker.events(job)  # type: ignore[arg-type]
    assert await anext(events) == ": begun\n\n"
    text = await anext(events)
    await events.aclose()
    return text


def test_a_job_ends_when_nobody_waits_for_it() -> None:
    ended = threading.Event()

    def endless(emit: Emit) -> None:
        emit("one", {"value": 1})
        try:
            while True:
                emit.check()
                time.sleep(0.001)
        finally:
            ended.set()

    async def run() -> None:
        worker = Worker()
        assert await first(worker, endless) == 'event: one\ndata: {"value": 1}\n\n'
        assert await worker.result(lambda: 7) == 7  # the thread is free again

    asyncio.run(run())
    assert ended.wait(10)


def test_an_interrupt_ends_all_jobs() -> None:
    def endless(emit: Emit) -> None:
        while True:
            emit.check()
            time.sleep(0.001)

    async def run() -> list[str]:
        worker = Worker()
        streams = [worker.events(endless) for _ in range(3)]
        for one in streams:
            await anext(one)
        worker.end()
        return [text for one in streams async for text in one]

    assert asyncio.run(run()) == []


def test_ctrl_c_waits_for_no_certificate(forks: Forks, tmp_path: Path) -> None:
    arguments = ["-m", "rszoo_cli", "explore", "--model", f"builtin/{MODEL}"]
    said = tmp_path / "out", tmp_path / "err"
    with said[0].open("wb") as out, said[1].open("wb") as err:
        process = forks.start(*arguments, stdout=out, stderr=err)
    end = time.monotonic() + 60
    while "Ctrl-C" not in said[0].read_text():
        assert process.poll() is None, said[1].read_text()
        assert time.monotonic() < end
        time.sleep(0.02)
    port = int(said[0].read_text().split()[1].rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/tests/3")
    image = json.load(connection.getresponse())["id"]
    body = {"model": f"builtin/{MODEL}", "image": image, "n": 10**6, "n0": 100, "alpha": 0.001}
    connection.request("POST", "/certify", json.dumps(body))
    stream = connection.getresponse()
    while b"1000" not in stream.readline():
        pass
    process.send_signal(signal.SIGINT)
    assert b"event: certificate" not in stream.read()
    connection.close()
    assert (process.wait(60), said[1].read_text()) == (0, "stopped\n")


def test_few_may_wait() -> None:
    held = threading.Event()

    async def run() -> int:
        worker = Worker()
        begun = [worker.events(lambda emit: held.wait(20) and None) for _ in range(9)]
        taken = 0
        try:
            for one in begun:
                await anext(one)
                taken += 1
        except Busy:
            with pytest.raises(Busy):
                await worker.result(lambda: 7)
        held.set()
        for one in begun:
            await one.aclose()
        assert await worker.result(lambda: 7) == 7
        return taken

    assert asyncio.run(run()) == 8


def test_what_goes_wrong_is_the_last_event() -> None:
    def refused(emit: Emit) -> None:
        raise RszooError("no such thing")

    def broken(emit: Emit) -> None:
        raise IndexError("a defect")

    for job, text in ((refused, "no such thing"), (broken, "IndexError: a defect")):
        said = asyncio.run(first(Worker(), job))
        assert said == f'event: failed\ndata: {{"error": "{text}"}}\n\n'


@pytest.fixture
def served(session: Session, hub_server: Server) -> Iterator[int]:
    """The port of an explorer on a real server."""
    hub_server.app = make_app(session, hosts=["127.0.0.1"])
    try:
        yield hub_server.listener.getsockname()[1]
    finally:
        hub_server.app = None


def test_a_page_that_goes_away_ends_its_certificate(session: Session, served: int) -> None:
    kept = session.test_image(3)
    body = {"model": f"builtin/{MODEL}", "image": kept.id, "n": 10**6, "n0": 100, "alpha": 0.001}
    started = time.monotonic()
    leaving = http.client.HTTPConnection("127.0.0.1", served, timeout=60)
    leaving.request("POST", "/certify", json.dumps(body))
    stream = leaving.getresponse()
    while b"1000" not in stream.readline():
        pass
    stream.close()
    leaving.close()
    other = http.client.HTTPConnection("127.0.0.1", served, timeout=60)
    other.request("POST", "/certify", json.dumps(body | {"n": 1000}))
    text = other.getresponse().read().decode()
    other.close()
    assert "event: certificate" in text
    spent = time.monotonic() - started
    session.classifier(body["model"]).votes(kept.image, n=20_000, seed=1)
    each = (time.monotonic() - started - spent) / 20_000
    assert spent < each * 10**6 / 2  # a million draws were not waited for


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    opened_pages: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened_pages.append)
    given = {}

    def serve(session: Session, **options: object) -> None:
        given.update(options, seed=session.seed, id=session.bundle.id)
        options["ready"]("http://127.0.0.1:1234")  # type: ignore[operator]
        raise KeyboardInterrupt

    monkeypatch.setattr(serving, "serve", serve)
    arguments = ["explore", "--model", f"builtin/{MODEL}", "--seed", "3"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout == "page   http://127.0.0.1:1234\nseed   3\nCtrl-C stops it\n"
    assert (given["host"], given["port"], given["seed"]) == ("127.0.0.1", 0, 3)
    assert opened_pages == []
    CliRunner().invoke(app, [*arguments, "--open", "--host", "0.0.0.0"])
    assert opened_pages == ["http://127.0.0.1:1234"]


def test_a_data_set_that_is_not_there() -> None:
    arguments = ["explore", "--model", f"builtin/{MODEL}", "--dataset", "digitz"]
    result = CliRunner().invoke(app, arguments)
    assert "unknown data set 'digitz'" in str(result.exception)

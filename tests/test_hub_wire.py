"""The hub on the wire: what the real client never sends, and what it does when things fail."""

import base64
import hashlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hub_server import RunningHub, Server
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from rszoo.errors import RszooError
from rszoo.hub.server.store import Store, open_store

NAME = "team/model"
BODY = b"0123456789" * 3


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


class Wire:
    """Requests as they are written, without a client that corrects them."""

    def __init__(self, hub: RunningHub) -> None:
        self.hub = hub

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        **headers: str,
    ) -> Answer:
        host = urlsplit(self.hub.url).netloc
        connection = http.client.HTTPConnection(host, timeout=20)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, data, headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def write(self, method: str, path: str, body: object = None) -> Answer:
        return self(method, path, body, token=self.hub.token)

    def commit(self, *operations: tuple[str, dict[str, object]], branch: str = "main") -> Answer:
        header = ("header", {"summary": "x", "description": ""})
        lines = [json.dumps({"key": key, "value": value}) for key, value in (header, *operations)]
        return self.write("POST", f"/api/models/{NAME}/commit/{branch}", "\n".join(lines).encode())

    def add(self, path: object, body: bytes = BODY) -> Answer:
        content = base64.b64encode(body).decode()
        return self.commit(("file", {"path": path, "content": content, "encoding": "base64"}))

    def upload_address(self, body: bytes) -> dict[str, Any]:
        oid = hashlib.sha256(body).hexdigest()
        answer = self.write(
            "POST",
            f"/{NAME}.git/info/lfs/objects/batch",
            {"operation": "upload", "objects": [{"oid": oid, "size": len(body)}]},
        )
        return answer.json["objects"][0]


@pytest.fixture
def wire(hub: RunningHub) -> Wire:
    hub.api.create_repo(NAME)
    return Wire(hub)


def path_of(url: str) -> str:
    return url.partition("//")[2].partition("/")[2].join(("/", ""))


# Downloads.


def test_ranges(wire: Wire) -> None:
    wire.add("f.bin")
    path = f"/{NAME}/resolve/main/f.bin"
    whole = wire("GET", path)
    head = wire("HEAD", path)
    assert (whole.status, whole.body, head.body) == (200, BODY, b"")
    oid = hashlib.sha1(b"blob 30\0" + BODY).hexdigest()
    commit = wire.hub.api.model_info(NAME).sha
    for answer in (whole, head):
        assert answer.headers["ETag"] == f'"{oid}"'
        assert answer.headers["X-Repo-Commit"] == commit
        assert answer.headers["Content-Length"] == "30"
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
    for asked, got, said in (
        ("bytes=25-", BODY[25:], "bytes 25-29/30"),
        ("bytes=0-3", BODY[:4], "bytes 0-3/30"),
        ("bytes=-2", BODY[-2:], "bytes 28-29/30"),
    ):
        answer = wire("GET", path, Range=asked)
        assert (answer.status, answer.body) == (206, got)
        assert answer.headers["Content-Range"] == said
    beyond = wire("GET", path, Range="bytes=30-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, "bytes */30")


def test_a_page_from_a_repository_is_not_a_page_of_the_hub(wire: Wire) -> None:
    wire.add("evil.html", b"<script>alert(1)</script>")
    answer = wire("GET", f"/{NAME}/resolve/main/evil.html")
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_a_cut_download_goes_on_where_it_was(hub: RunningHub, tmp_path: Path) -> None:
    body = bytes(range(256)) * (100 << 10)  # 25 MiB; the client writes 10 MiB at a time
    hub.api.create_repo(NAME)
    hub.api.upload_file(path_or_fileobj=body, path_in_repo="model.bin", repo_id=NAME)
    hub.faults.cut("GET /team/model/resolve", after=23 << 20)
    got = hf_hub_download(NAME, "model.bin")
    assert Path(got).read_bytes() == body
    assert hub.faults.ranges == [f"bytes={20 << 20}-"]


def test_unavailable_for_a_while(hub: RunningHub) -> None:
    hub.api.create_repo(NAME)
    for pattern in ("/preupload/", "PUT /lfs/"):
        hub.faults.fail(pattern, times=1)
    hub.api.upload_file(path_or_fileobj=BODY, path_in_repo="model.bin", repo_id=NAME)
    snapshot_download(NAME)
    hub.faults.fail("/commit/", times=1)
    with pytest.raises(HfHubHTTPError):  # never retried by the client
        hub.api.upload_file(path_or_fileobj=b"2", path_in_repo="model.bin", repo_id=NAME)


# Uploads.


def test_a_body_must_be_what_was_promised(wire: Wire) -> None:
    address = path_of(wire.upload_address(BODY)["actions"]["upload"]["href"])
    for wrong, said in (
        (BODY[::-1], "expected sha256"),
        (BODY[1:], "expected 30 bytes, got 29"),
        (BODY + b"0", "expected 30 bytes, got more"),
    ):
        answer = wire("PUT", address, wrong)
        assert answer.status == 400
        assert said in answer.headers["X-Error-Message"]
    assert list((wire.hub.root / "blobs").iterdir()) == []
    assert list((wire.hub.root / "uploads").iterdir()) == []
    assert wire("PUT", address, BODY).status == 200
    assert "actions" not in wire.upload_address(BODY)


def test_an_upload_that_is_broken_off_leaves_nothing(wire: Wire) -> None:
    address = path_of(wire.upload_address(BODY)["actions"]["upload"]["href"])
    host, port = urlsplit(wire.hub.url).netloc.split(":")
    uploads = wire.hub.root / "uploads"
    with socket.create_connection((host, int(port))) as connection:
        head = f"PUT {address} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(BODY)}\r\n\r\n"
        connection.sendall(head.encode() + BODY[:10])
        wait_until(lambda: len(list(uploads.iterdir())) == 1)
    wait_until(lambda: list(uploads.iterdir()) == [])
    assert list((wire.hub.root / "blobs").iterdir()) == []
    assert wire("PUT", address, BODY).status == 200


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_an_upload_needs_an_address_from_this_hub(wire: Wire) -> None:
    href = path_of(wire.upload_address(BODY)["actions"]["upload"]["href"])
    oid = hashlib.sha256(b"other").hexdigest()
    for forged in (
        href.replace(href.split("?")[0], f"/lfs/{oid}"),
        href.replace("size=30", "size=31"),
        href.partition("&sig=")[0],
        href.partition("&sig=")[0] + "&sig=" + "0" * 64,
        href.replace("?", "/00/1?"),
        href.replace(href.split("?")[0], "/lfs/..%2F..%2Fetc%2Fpasswd"),
    ):
        assert wire("PUT", forged, BODY).status == 403
    assert list((wire.hub.root / "blobs").iterdir()) == []


def test_parts(tmp_path: Path, hub: RunningHub, other_server: Server) -> None:
    with other_server.hub(tmp_path / "other", part_size=8) as other:
        other.api.create_repo(NAME)
        wire = Wire(other)
        upload = wire.upload_address(BODY)["actions"]["upload"]
        parts = [path_of(upload["header"][f"{number:05}"]) for number in range(1, 5)]
        assert upload["header"]["chunk_size"] == "8"
        assert len(upload["header"]) == 5
        assert wire("PUT", parts[0], BODY[:9]).status == 400
        assert wire("PUT", parts[3].replace("/4?", "/5?"), b"").status == 400
        for number in (1, 3, 0):
            assert wire("PUT", parts[number], BODY[8 * number : 8 * number + 8]).status == 200
        missing = wire("POST", path_of(upload["href"]), {})
        assert missing.status == 400
        assert "expected part 00003, got none" in missing.headers["X-Error-Message"]
        assert list((other.root / "uploads").iterdir()) == []
        for number in range(4):
            wire("PUT", parts[number], BODY[8 * number : 8 * number + 8])
        assert wire("POST", path_of(upload["href"]), {}).status == 200
        assert wire("POST", path_of(upload["href"]), {}).status == 200  # asked again
        (blob,) = (other.root / "blobs").iterdir()
        assert blob.read_bytes() == BODY


def test_a_commit_needs_the_bodies(wire: Wire) -> None:
    oid = hashlib.sha256(BODY).hexdigest()
    for value in ({"oid": oid, "size": 30}, {"oid": "../../etc/passwd"}, {"oid": None}):
        answer = wire.commit(("lfsFile", {"path": "m.bin", "algo": "sha256", **value}))
        assert answer.status == 400
    wire("PUT", path_of(wire.upload_address(BODY)["actions"]["upload"]["href"]), BODY)
    wrong = wire.commit(("lfsFile", {"path": "m.bin", "oid": oid, "size": 31}))
    assert wrong.status == 400
    assert wire.commit(("lfsFile", {"path": "m.bin", "oid": oid, "size": 30})).status == 200


BAD_PATHS = [
    "../up",
    "a/../../up",
    "/absolute",
    "a//b",
    "./a",
    "a\0b",
    "a\nb",
    "..\\up",
    ".git/config",
    "x/.GIT/hooks/post-checkout",
    "",
    "a" * 256,
    "a/" * 501,
    "\ud800",
    None,
    ["a"],
]


def test_paths_that_are_refused(wire: Wire) -> None:
    for path in BAD_PATHS:
        assert (wire.add(path).status, path) == (400, path)
        assert wire.commit(("deletedFolder", {"path": path})).status in (400, 404)
    assert wire.hub.api.list_repo_files(NAME) == []


def test_a_path_is_a_file_or_a_folder(wire: Wire) -> None:
    assert wire.add("a/b").status == 200
    assert wire.add("a").status == 400
    assert wire.add("a/b/c").status == 400
    assert wire.hub.api.list_repo_files(NAME) == ["a/b"]


BAD_NAMES = [
    "../up",
    "team/..",
    "te..am/x",
    "team/x.git",
    "api/x",
    "team/a/b",
    "team/",
    "-team/x",
    "team/" + "x" * 96,
    "team/x\0",
    "t\u00e9am/x",
]


def test_names_that_are_refused(wire: Wire) -> None:
    for repo_id in BAD_NAMES:
        namespace, _, name = repo_id.partition("/")
        body = {"name": name, "organization": namespace}
        assert wire.write("POST", "/api/repos/create", body).status == 400, repo_id
    assert len(list((wire.hub.root / "repos").rglob("*.json"))) == 1


def test_tags_that_are_refused(wire: Wire) -> None:
    for name in ["a..b", "../x", "0" * 40, "a b", "", "a//b", "x" * 300, None]:
        assert wire.write("POST", f"/api/models/{NAME}/tag/main", {"tag": name}).status == 400


NONSENSE = [
    (f"/api/models/{NAME}/commit/main", b"not json\n"),
    (f"/api/models/{NAME}/commit/main", b'{"key": 1}\n'),
    (f"/api/models/{NAME}/commit/main", b'{"key": "odd", "value": {"path": "x"}}\n'),
    (f"/api/models/{NAME}/commit/main", b"[" * 100_000),
    (f"/api/models/{NAME}/commit/main?create_pr=1", b""),
    (f"/api/models/{NAME}/preupload/main", b'{"files": [{"path": "x"}]}'),
    (f"/api/models/{NAME}/preupload/main", b"[]"),
    (f"/{NAME}.git/info/lfs/objects/batch", b'{"operation": "download"}'),
    (f"/{NAME}.git/info/lfs/objects/batch", b'{"operation": "upload", "objects": 3}'),
    ("/api/repos/create", b"null"),
]


def test_nonsense_is_refused(wire: Wire) -> None:
    for path, body in NONSENSE:
        answer = wire.write("POST", path, body)
        assert answer.status == 400, body
        assert answer.headers["X-Error-Message"]


def test_a_large_line_is_refused(wire: Wire) -> None:
    assert wire.write("POST", "/api/repos/create", b" " * ((1 << 24) + 1)).status == 413


def test_revisions_with_a_slash_are_one_part_of_the_path(wire: Wire) -> None:
    wire.write("POST", f"/api/models/{NAME}/branch/a%2Fb", {})
    assert wire("GET", f"/api/models/{NAME}/revision/a%2Fb").status == 200
    assert wire("GET", f"/api/models/{NAME}/revision/a/b").status == 404
    unknown = wire("GET", f"/api/models/{NAME}/revision/refs%2Fpr%2F1")
    assert unknown.headers["X-Error-Code"] == "RevisionNotFound"


def test_what_is_not_here(wire: Wire) -> None:
    for path in ("/api/agent-harnesses", "/api/spaces", "/api/models/a", "/favicon.ico", "/a/b/c"):
        assert wire("GET", path).status == 404


# Who may do what.


def writing() -> Iterator[tuple[str, str]]:
    yield "POST", "/api/repos/create"
    yield "DELETE", "/api/repos/delete"
    yield "POST", f"/{NAME}.git/info/lfs/objects/batch"
    yield "POST", f"/lfs/{'0' * 64}/verify"
    for route in ("commit/main", "preupload/main", "tag/main", "branch/x"):
        yield "POST", f"/api/models/{NAME}/{route}"
    yield "DELETE", f"/api/models/{NAME}/tag/v1"
    yield "DELETE", f"/api/models/{NAME}/branch/x"
    yield "PUT", f"/api/models/{NAME}/settings"


@pytest.mark.parametrize(
    ("token", "status"),
    [(None, 401), ("", 401), ("hf_wrong", 401), ("hf_read_token", 403)],
)
def test_writing_needs_the_token(wire: Wire, token: str | None, status: int) -> None:
    wire.hub.api.create_tag(NAME, tag="v1")
    before = {path: path.read_bytes() for path in wire.hub.root.rglob("*.json")}
    body = {"name": "model", "organization": "team", "tag": "v2", "visibility": "private"}
    for method, path in writing():
        answer = wire(method, path, body, token=token)
        assert (answer.status, path) == (status, path)
        assert "token" in answer.headers["X-Error-Message"]
    assert {path: path.read_bytes() for path in wire.hub.root.rglob("*.json")} == before


def test_every_route_that_writes_is_in_that_list(wire: Wire) -> None:
    from rszoo.hub.server.app import _routes

    free = {"/api/validate-yaml", "/lfs/{oid}", "/lfs/{oid}/{upload}"}  # harmless, or signed
    free |= {
        "/lfs/{oid}/{upload}/{number:int}",
        "/api/{kind}/{namespace}/{name}/paths-info/{revision}",
    }
    tried = {verb + " " + route for verb, route in writing()}
    for route in _routes():
        for method in (route.methods or set()) - {"GET", "HEAD"}:
            if route.path not in free and not route.path.startswith("/{kind}"):
                path = route.path.replace("{kind}", "models").replace("{namespace}/{name}", NAME)
                assert any(
                    one.startswith(f"{method} {path.partition('{')[0]}") for one in tried
                ), route.path


def test_whoami(hub: RunningHub) -> None:
    for token, role in ((hub.token, "write"), (hub.read_token, "read")):
        assert hub.client(token).whoami()["auth"]["accessToken"]["role"] == role
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        hub.client("hf_wrong").whoami()


def test_private_models(wire: Wire) -> None:
    hub = wire.hub
    hub.api.create_repo("team/secret", private=True)
    hub.api.upload_file(path_or_fileobj=BODY, path_in_repo="f", repo_id="team/secret")
    commit = hub.api.model_info("team/secret").sha
    for token in (False, "hf_wrong"):
        client = hub.client(token)
        assert [model.id for model in client.list_models()] == [NAME]
        for read in (client.model_info, client.list_repo_files, client.list_repo_commits):
            with pytest.raises(RepositoryNotFoundError):
                read("team/secret")
        with pytest.raises(RepositoryNotFoundError):
            client.get_paths_info("team/secret", ["f"])
        with pytest.raises(RepositoryNotFoundError):
            client.list_repo_refs("team/secret")
        with pytest.raises(RepositoryNotFoundError):
            client.hf_hub_download("team/secret", "f", revision=commit)
    reader = hub.client(hub.read_token)
    assert {model.id for model in reader.list_models()} == {NAME, "team/secret"}
    assert Path(reader.hf_hub_download("team/secret", "f")).read_bytes() == BODY
    assert "team/secret" not in wire("GET", "/").body.decode()
    assert wire("GET", "/team/secret").status == 404
    hub.api.update_repo_settings("team/secret", private=False)
    assert wire("GET", "/team/secret").status == 200


def test_only_under_its_own_name(wire: Wire) -> None:
    assert wire("GET", "/", Host="127.0.0.1:80").status == 200
    assert wire("GET", "/", Host="evil.example").status == 400


# Failures of its own.


def test_a_crash_says_why(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug\r\nX-Injected: 1")

    monkeypatch.setattr(Store, "all", broken)
    answer = wire("GET", "/api/models")
    assert answer.status == 500
    assert answer.headers["X-Error-Message"] == "ZeroDivisionError: a bug X-Injected: 1"
    assert "X-Injected" not in answer.headers


def test_a_commit_that_cannot_be_written_is_none(wire: Wire) -> None:
    (path,) = (wire.hub.root / "repos").rglob("model.json")
    before = path.read_bytes()
    path.unlink()
    path.mkdir()  # a folder is not replaced by a file
    assert wire.add("f").status == 500
    assert wire.hub.api.list_repo_files(NAME) == []
    path.rmdir()
    path.write_bytes(before)
    assert wire.add("f").status == 200


def test_two_hubs_on_one_folder(hub: RunningHub) -> None:
    with pytest.raises(RszooError, match="is served by another process"), open_store(hub.root):
        pass


def test_a_folder_with_a_broken_repository(tmp_path: Path) -> None:
    path = tmp_path / "repos" / "models" / "team" / "x.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"format": 2}')
    with pytest.raises(RszooError, match=r"x\.json: expected a repository of this hub, got "):
        with open_store(tmp_path):
            pass
    path.unlink()
    with open_store(tmp_path) as store:  # the lock was given back
        assert store.all("models") == []


HOSTILE = {
    "bomb": "a0: &a0 [x, x]\n"
    + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(60)),
    "cycle": "a: &a [*a]\n",
    "merge": "a0: &a0 {x: 1}\n"
    + "".join(f"a{n + 1}: &a{n + 1} {{<<: [*a{n}, *a{n}]}}\n" for n in range(60)),
    "deep": "a: " + "[" * 3000,
    "nan": "a: .nan\nmodel-index: [{results: [{metrics: [{type: acr, value: .inf}]}]}]\n",
    "dates": "a: 2024-13-45\n",
    "surrogate": 'tags: ["\\ud800"]\n',
    "keys": "{[1, 2]: x, 3: y}: z\n",
    "shape": "model-index: [3, {results: x}, {results: [{dataset: 4, metrics: [5]}]}]\n",
    "tags": "tags: {a: b}\nlicense: [[x]]\n",
    "python": "a: !!python/object/apply:os.system [id]\n",
    "list": "- 1\n",
    "number": "a: " + "1" * 5000 + "\n",
}


def test_an_odd_card_does_not_spoil_the_list(wire: Wire) -> None:
    for name, metadata in HOSTILE.items():
        wire.hub.api.create_repo(f"team/{name}")
        card = f"---\n{metadata}\n---\ntext\n".encode()
        path = f"/api/models/team/{name}/commit/main"
        content = {"path": "README.md", "content": base64.b64encode(card).decode()}
        entries = content | {"path": ".eval_results/x.yaml", "content": "YTogWzE="}
        lines = [
            json.dumps({"key": "file", "value": value | {"encoding": "base64"}})
            for value in (content, entries)
        ]
        assert wire.write("POST", path, "\n".join(lines).encode()).status == 200
    found = {model.id for model in wire.hub.api.list_models(cardData=True)}
    assert found == {NAME, *(f"team/{name}" for name in HOSTILE)}
    assert wire("GET", "/").status == 200
    for name in HOSTILE:
        assert wire("GET", f"/team/{name}").status == 200

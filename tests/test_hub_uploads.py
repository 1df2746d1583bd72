"""Uploads to the hub: what it takes, and what it refuses."""

import hashlib
import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hub_server import RunningHub, Server
from hub_wire import BODY, NAME, Wire, path_of

from rszoo.hub_server.attributes import ATTRIBUTES
from rszoo.hub_server.changes import Change, changed
from rszoo.hub_server.errors import HubError
from rszoo.hub_server.history import File


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
    assert bodies(wire.hub) == []
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
    assert bodies(wire.hub) == []
    assert wire("PUT", address, BODY).status == 200


def bodies(hub: RunningHub) -> list[bytes]:
    """Return the bodies that were sent, beside the one of every new repository."""
    found = [path.read_bytes() for path in (hub.root / "blobs").iterdir()]
    return [body for body in found if body != ATTRIBUTES]


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
    assert bodies(wire.hub) == []


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
        assert bodies(other) == [BODY]


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
    assert wire.hub.api.list_repo_files(NAME) == [".gitattributes"]


def test_a_path_is_a_file_or_a_folder(wire: Wire) -> None:
    assert wire.add("a/b").status == 200
    assert wire.add("a").status == 400
    assert wire.add("a/b/c").status == 400
    assert wire.hub.api.list_repo_files(NAME) == [".gitattributes", "a/b"]


NO_NAMES_ON_WINDOWS = ["CON", "a/nul.txt", "lpt1.tar.gz/x", "Aux ", "a.", "a./b", "a /b", " a"]
NO_NAMES_ON_WINDOWS += [f"a{letter}b" for letter in '<>:"|?*']


def test_names_that_break_other_systems_are_refused(wire: Wire) -> None:
    for path in NO_NAMES_ON_WINDOWS:
        answer = wire.add(path)
        assert (answer.status, path) == (400, path)
        assert "Windows" in answer.headers["X-Error-Message"]
    for path in ("CONfig.json", "null.txt", "a.b.c", ".hidden", "com10", "lpt/x", "a b"):
        assert (wire.add(path).status, path) == (200, path)


def test_names_that_are_one_on_other_systems_are_refused(wire: Wire) -> None:
    for path in ("README.md", "logs/run.tsv", "stra\u00dfe", "\u00e9t\u00e9"):
        assert wire.add(path).status == 200
    taken = ["readme.md", "README.MD/x", "Logs/other.tsv", "LOGS", "STRASSE", "e\u0301t\u00e9"]
    for path in taken:
        answer = wire.add(path)
        assert (answer.status, path) == (400, path)
        assert "upper and lower case" in answer.headers["X-Error-Message"]
    twins = wire.commit(("file", {"path": "new/a"}), ("file", {"path": "New/b"}))
    assert twins.status == 400
    renamed = wire.commit(("deletedFile", {"path": "README.md"}), ("file", {"path": "readme.md"}))
    assert renamed.status == 200
    assert "readme.md" in wire.hub.api.list_repo_files(NAME)


def test_names_that_an_older_hub_took_can_be_changed_and_removed() -> None:
    file, other = File.regular(b"", "0" * 64), File.regular(b"1", "1" * 64)
    tree = {"Con": file, "a:b": file, "x": file, "X": file}
    assert changed([Change("Con", other), Change("x", other)], tree) == {"Con": other, "x": other}
    assert changed([Change("a:b"), Change("new", file)], tree) == {"a:b": None, "new": file}
    with pytest.raises(HubError, match="upper and lower case"):
        changed([Change("a:b"), Change("New", other)], tree | {"new": file})


def test_references_that_break_clients_are_refused(wire: Wire) -> None:
    def made(kind: str, name: str) -> int:
        if kind == "tag":
            return wire.write("POST", f"/api/models/{NAME}/tag/main", {"tag": name}).status
        path = name.replace("/", "%2F")
        return wire.write("POST", f"/api/models/{NAME}/branch/{path}", {}).status

    for kind in ("tag", "branch"):
        assert made(kind, f"{kind}/next") == 200
        for name in ("Main", "main/x", kind, f"{kind}/Next", f"{kind}/next/x", "nul", "a./b"):
            assert (made(kind, name), name) == (400, name)
        assert made(kind, "main") == 409
        assert made(kind, f"{kind}/other") == 200


BAD_NAMES = [
    "con/x",
    "team/NUL",
    "team/aux.v1",
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

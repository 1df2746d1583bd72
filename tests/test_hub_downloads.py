"""Downloads from the hub: ranges, headers, addresses, and a connection that is cut."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from hub_server import RunningHub
from hub_wire import BODY, NAME, Wire
from huggingface_hub import hf_hub_download
from huggingface_hub.hf_api import RepoFile

from rszoo.hub_server.blobs import Blobs


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


def test_what_is_kept_in_memory_is_not_for_everybody(wire: Wire) -> None:
    wire.add("f.txt")
    path = f"/{NAME}/resolve/main/f.txt"
    assert wire("GET", path).body == wire("GET", path).body == BODY
    assert "filename*=utf-8''f.txt" in wire("GET", path).headers["Content-Disposition"]
    wire.hub.api.update_repo_settings(NAME, gated="auto")
    assert wire("GET", path).status == 401
    wire.hub.api.update_repo_settings(NAME, private=True)
    assert wire("GET", path).status == 404
    assert wire("GET", path, token=wire.hub.read_token).body == BODY
    wire.add("f.txt", b"new")
    assert wire("GET", path, token=wire.hub.read_token).body == b"new"
    wire.hub.api.delete_repo(NAME)
    assert wire("GET", path, token=wire.hub.token).status == 404


def test_few_bodies_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rszoo.hub_server.blobs._MOST_KEPT", 2)
    blobs = Blobs(tmp_path / "blobs", tmp_path / "uploads")
    blobs.prepare()
    bodies = {blobs.put(body): body for body in (b"1", b"2", b"3", b"4")}
    for _ in range(2):
        for sha256, body in bodies.items():
            assert asyncio.run(blobs.read_often(sha256)) == body
            assert len(blobs.kept) <= 2


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


def test_revisions_with_a_slash_are_one_part_of_the_path(wire: Wire) -> None:
    wire.write("POST", f"/api/models/{NAME}/branch/a%2Fb", {})
    assert wire("GET", f"/api/models/{NAME}/revision/a%2Fb").status == 200
    assert wire("GET", f"/api/models/{NAME}/revision/a/b").status == 404
    unknown = wire("GET", f"/api/models/{NAME}/revision/refs%2Fpr%2F1")
    assert unknown.headers["X-Error-Code"] == "RevisionNotFound"


def test_what_is_not_here(wire: Wire) -> None:
    for path in (
        "/api/agent-harnesses",
        "/api/collections",
        "/api/models/a",
        "/robots.txt",
        "/a/b/c",
    ):
        assert wire("GET", path).status == 404


def test_ids_are_those_of_git(hub: RunningHub) -> None:
    hub.api.create_repo(NAME)
    hub.api.upload_file(path_or_fileobj=BODY, path_in_repo="model.bin", repo_id=NAME)
    (file,) = hub.api.get_paths_info(NAME, "model.bin")
    sha256 = hashlib.sha256(BODY).hexdigest()
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize 30\n".encode()
    )
    assert isinstance(file, RepoFile)
    assert file.blob_id == hashlib.sha1(b"blob %d\0" % len(pointer) + pointer).hexdigest()
    assert file.lfs is not None
    assert (file.lfs.sha256, file.lfs.size, file.lfs.pointer_size) == (sha256, 30, len(pointer))

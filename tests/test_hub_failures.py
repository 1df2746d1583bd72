"""The hub when something fails: the server, the disk, the folder, a card."""

import base64
import errno
import json
from pathlib import Path

import pytest
from hub_files import contents
from hub_server import RunningHub
from hub_wire import BODY, NAME, Wire, path_of
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from rszoo.errors import RszooError
from rszoo.hub_server.card import front_matter
from rszoo.hub_server.store import Store, open_store


def test_unavailable_for_a_while(hub: RunningHub) -> None:
    hub.api.create_repo(NAME)
    for pattern in ("/preupload/", "PUT /lfs/"):
        hub.faults.fail(pattern, times=1)
    hub.api.upload_file(path_or_fileobj=BODY, path_in_repo="model.bin", repo_id=NAME)
    snapshot_download(NAME)
    hub.faults.fail("/commit/", times=1)
    with pytest.raises(HfHubHTTPError):  # never retried by the client
        hub.api.upload_file(path_or_fileobj=b"2", path_in_repo="model.bin", repo_id=NAME)


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
    assert wire.hub.api.list_repo_files(NAME) == [".gitattributes"]
    path.rmdir()
    path.write_bytes(before)
    assert wire.add("f").status == 200


def test_a_full_disk(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    address = path_of(wire.upload_address(BODY)["actions"]["upload"]["href"])
    before = contents(wire.hub.root)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        tries = [wire.add("f"), wire("PUT", address, BODY), wire.commit()]
        tries.append(wire.write("POST", "/api/repos/create", {"name": "new"}))
        tries.append(wire.write("PUT", f"/api/models/{NAME}/settings", {"private": True}))
        with pytest.raises(HfHubHTTPError, match="No space left on device") as caught:
            wire.hub.api.create_tag(NAME, tag="v1")
    assert [answer.status for answer in tries] == [507] * 5
    assert caught.value.response.status_code == 507
    assert "cannot write " in tries[0].headers["X-Error-Message"]
    assert contents(wire.hub.root) == before
    assert wire.add("f").status == wire("PUT", address, BODY).status == 200


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
    + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(18)),
    "cycle": "a: &a [*a]\n",
    "merge": "a0: &a0 {x: 1}\n"
    + "".join(f"a{n + 1}: &a{n + 1} {{<<: [*a{n}, *a{n}]}}\n" for n in range(18)),
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
    "hex": f"a: 0x{'f' * 5000}\nlicense: 0x{'f' * 5000}\n",
    "binary": f"tags: [0b{'1' * 20_000}, -0x{'f' * 5000}, 99999999999999999999]\n",
    "metric": "model-index: [{results: [{dataset: {name: 0x%s}, metrics: [{type: acr, value: 1,"
    " args: {norm: 0x%s, n: 0x%s}}]}]}]\n" % (3 * ("f" * 5000,)),
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
    listed = json.loads(wire("GET", "/api/models?cardData=true").body)
    cards = {entry["id"].partition("/")[2]: entry["cardData"] for entry in listed}
    assert [name for name in HOSTILE if cards[name]] == [
        *("nan", "surrogate", "shape", "tags", "hex", "binary", "metric")
    ]
    assert cards["hex"] == {"a": "0x" + "f" * 5000, "license": "0x" + "f" * 5000}
    assert cards["binary"]["tags"][2] == "9" * 20
    assert wire("GET", "/").status == 200
    for name in HOSTILE:
        assert wire("GET", f"/team/{name}").status == 200


def test_a_model_whose_card_is_lost_is_listed(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    wire.hub.api.create_repo("team/lost")
    lines = [
        {"path": path, "content": "---\nlicense: mit\n---\n"}
        for path in ("README.md", ".eval_results/x.yaml")
    ]
    commit = "\n".join(json.dumps({"key": "file", "value": line}) for line in lines).encode()
    assert wire.write("POST", "/api/models/team/lost/commit/main", commit).status == 200
    for path in (wire.hub.root / "blobs").iterdir():
        path.unlink()
    assert {model.id for model in wire.hub.api.list_models(full=True)} == {NAME, "team/lost"}
    assert wire("GET", "/").status == wire("GET", "/team/lost").status == 200

    def odd(repo_id: str, *_: object) -> list[object]:
        if repo_id == NAME:
            raise ZeroDivisionError
        return []

    monkeypatch.setattr("rszoo.hub_server.pages.model_rows", odd)
    assert f"/{NAME}" in wire("GET", "/").body.decode()


def test_of_a_card_with_too_many_values_no_more_is_read() -> None:
    assert front_matter("---\na: [1, 2, 3, 4]\n---\nb", most=10)[0] == {"a": [1, 2, 3, 4]}
    with pytest.raises(ValueError, match="expected at most 10 values"):
        front_matter("---\na: [1, 2, 3, 4, 5, 6, 7, 8]\n}{ this is no YAML\n---\n", most=10)
    with pytest.raises(ValueError, match="line 2: "):
        front_matter("---\na: [1]\n}{ this is no YAML\n---\n", most=10)


def test_who_has_no_token_may_check_a_card_of_fewer_values(wire: Wire) -> None:
    short, long = ({"content": f"---\na: [{'1, ' * count}]\n---\n"} for count in (1000, 3000))
    assert wire("POST", "/api/validate-yaml", short).status == 200
    answer = wire("POST", "/api/validate-yaml", long)
    assert answer.status == 400
    assert "expected at most 2000 values" in answer.json["errors"][0]["message"]
    assert wire.write("POST", "/api/validate-yaml", long).status == 200

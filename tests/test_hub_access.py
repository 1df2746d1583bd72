"""Who may read and write on the hub."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import RunningHub
from hub_wire import BODY, NAME, Wire
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError


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
    from rszoo.hub_server.app import _routes

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

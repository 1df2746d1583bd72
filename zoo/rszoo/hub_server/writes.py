"""Routes that make, change and delete repositories, commits, branches and tags."""

import base64
import binascii
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rszoo.hub_server.asked import asked_gate, asked_private, asked_text
from rszoo.hub_server.card import MOST_VALUES, front_matter
from rszoo.hub_server.changes import Change
from rszoo.hub_server.context import (
    Hub,
    check_write,
    hub_of,
    json_body,
    kind_of,
    lines,
    param,
    parse_object,
    repo_of,
    right_of,
)
from rszoo.hub_server.errors import HubError
from rszoo.hub_server.history import File
from rszoo.hub_server.names import check_path, is_sha256
from rszoo.hub_server.repo import MAIN, Kind, Repo

__all__ = ["branch", "commit", "create", "delete", "settings", "tag", "validate_card"]

_USER = "local"
_LONGEST_MESSAGE = 10_000
_VALUES_FOR_ANYBODY = 2000


async def create(request: Request) -> Response:
    """Create the repository that the request names."""
    check_write(request)
    body = await json_body(request)
    kind, repo_id = _named(body)
    private = asked_private(body) or False
    url = _page(request, kind, repo_id)
    try:
        await run_in_threadpool(hub_of(request).store.create, kind, repo_id, private=private)
    except HubError as error:
        if error.status == 409:
            error.body["url"] = url  # read by the client where it may exist
        raise
    return JSONResponse({"url": url, "id": repo_id, "name": repo_id, "private": private})


async def delete(request: Request) -> Response:
    """Delete the repository that the request names."""
    check_write(request)
    await run_in_threadpool(hub_of(request).store.delete, *_named(await json_body(request)))
    return JSONResponse({})


async def settings(request: Request) -> Response:
    """Change who may read a repository."""
    check_write(request)
    repo, body = repo_of(request), await json_body(request)
    update: dict[str, Any] = {**asked_gate(body)}
    if (private := asked_private(body)) is not None:
        update["private"] = private

    def change(repo: Repo) -> Repo:
        return repo.model_copy(update=update)

    await run_in_threadpool(hub_of(request).store.change, repo.kind, repo.id, change)
    return JSONResponse(update)


async def branch(request: Request) -> Response:
    """Make or delete a branch."""
    check_write(request)
    repo, name, body = repo_of(request), param(request, "revision"), await json_body(request)
    start = asked_text(body, "startingPoint", MAIN)

    def change(repo: Repo) -> Repo:
        if request.method == "DELETE":
            return repo.without_branch(name)
        return repo.with_branch(name, start)

    await run_in_threadpool(hub_of(request).store.change, repo.kind, repo.id, change)
    return JSONResponse({})


async def tag(request: Request) -> Response:
    """Make a tag at a revision, or delete the tag of that name."""
    check_write(request)
    repo, revision, body = repo_of(request), param(request, "revision"), await json_body(request)

    def change(repo: Repo) -> Repo:
        if request.method == "DELETE":
            return repo.without_tag(revision)
        return repo.with_tag(body.get("tag", ""), revision)

    await run_in_threadpool(hub_of(request).store.change, repo.kind, repo.id, change)
    return JSONResponse({})


async def validate_card(request: Request) -> Response:
    """Check the front matter of a card before it is committed.

    Clients ask without their token, too; for who has none no more is read than is quick.
    """
    most = _VALUES_FOR_ANYBODY if right_of(request) == "none" else MOST_VALUES
    content = asked_text(await json_body(request), "content", "")
    try:
        await run_in_threadpool(front_matter, content, most=most)
    except ValueError as error:
        return JSONResponse({"errors": [{"message": str(error)}], "warnings": []}, 400)
    return JSONResponse({"errors": [], "warnings": []})


async def commit(request: Request) -> Response:
    """Add a commit: a header, then one change per line."""
    check_write(request)
    repo, name = repo_of(request), param(request, "revision")
    if request.query_params.get("create_pr"):
        raise HubError(400, "expected a commit to a branch; there are no pull requests here")
    repo.head_of(name)
    hub, header, changes = hub_of(request), {}, []
    async for line in lines(request):
        if not line.strip():
            continue
        key, value = _operation(parse_object(line))
        if key == "header":
            if header:
                raise HubError(400, "expected one header, got two; send two commits")
            header = value
        else:
            changes.append(await run_in_threadpool(_change, key, value, hub))
    title, message = _message(header)
    oid = await run_in_threadpool(
        hub.store.commit,
        repo.kind,
        repo.id,
        name,
        changes,
        title=title,
        message=message,
        parent=header.get("parentCommit"),
    )
    url = f"{_page(request, repo.kind, repo.id)}/commit/{oid}"
    return JSONResponse({"success": True, "commitUrl": url, "commitOid": oid})


def _operation(line: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    key, value = line.get("key"), line.get("value")
    if not isinstance(key, str) or not isinstance(value, dict):
        raise HubError(400, 'expected lines {"key": ..., "value": {...}}, got another one')
    return key, value


def _change(key: str, value: dict[str, Any], hub: Hub) -> Change:
    path = value.get("path")
    if key == "deletedFolder" and isinstance(path, str):
        path = path.removesuffix("/")
    path = check_path(path)
    if key == "file":
        return Change(path, _regular(value, hub))
    if key == "lfsFile":
        return Change(path, _large(value, hub))
    if key in ("deletedFile", "deletedFolder"):
        return Change(path, folder=key == "deletedFolder")
    raise HubError(400, f"unknown operation {key!r}")


def _regular(value: dict[str, Any], hub: Hub) -> File:
    content = asked_text(value, "content", "")
    encoding = asked_text(value, "encoding", "utf-8")
    if encoding not in ("base64", "utf-8"):
        raise HubError(400, f"expected encoding base64 or utf-8, got {encoding!r:.80}")
    try:
        coded = encoding == "base64"
        body = base64.b64decode(content, validate=True) if coded else content.encode()
    except (binascii.Error, ValueError) as error:
        raise HubError(400, f"expected content in base64, got: {error}") from None
    return File.regular(body, hub.blobs.put(body))


def _large(value: dict[str, Any], hub: Hub) -> File:
    oid = value.get("oid")
    if not is_sha256(oid) or not hub.blobs.has(str(oid), value.get("size")):
        raise HubError(400, f"expected an uploaded file, got {value}; upload it first")
    return File.large(str(oid), hub.blobs.path(str(oid)).stat().st_size)


def _named(body: dict[str, Any]) -> tuple[Kind, str]:
    kind = kind_of(f"{asked_text(body, 'type', 'model')}s")
    return kind, f"{asked_text(body, 'organization', _USER)}/{asked_text(body, 'name')}"


def _page(request: Request, kind: Kind, repo_id: str) -> str:
    prefix = "" if kind == "models" else f"{kind}/"
    return f"{request.base_url}{prefix}{repo_id}"


def _message(header: dict[str, Any]) -> tuple[str, str]:
    """Return the first line of a commit's message, and the rest."""
    said = f"{header.get('summary') or 'no message'}\n\n{header.get('description') or ''}"
    text = said.strip()[:_LONGEST_MESSAGE].encode("utf-8", "replace").decode()
    title, _, message = text.partition("\n")
    return title, message.strip()

"""Routes for the bodies of files: what goes by LFS, the uploads themselves, and downloads."""

import secrets
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from rszoo.hub_server.attributes import goes_by_lfs
from rszoo.hub_server.context import (
    Hub,
    check_write,
    hub_of,
    json_body,
    param,
    pieces,
    repo_of,
    right_of,
)
from rszoo.hub_server.errors import HubError, entry_not_found
from rszoo.hub_server.names import is_sha256

__all__ = ["batch", "finish", "preupload", "put", "put_part", "resolve", "verify"]

_MOST_PARTS = 10_000
_SMALL = 1 << 16  # bytes of a body that is sent out of the memory

# Everything else is sent as bytes to save, so that no file of a repository is ever run or shown
# as a page of this hub.
_SHOWN = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
_TEXTS = (".md", ".txt", ".json", ".yaml", ".yml", ".tsv", ".csv", ".py")


async def preupload(request: Request) -> Response:
    """Tell which files go by LFS, and which are there already."""
    check_write(request)
    repo, body = repo_of(request), await json_body(request)
    tree = repo.tree(repo.find(param(request, "revision")))
    answers = []
    for file in _objects(body.get("files")):
        path, size = str(file.get("path", "")), file.get("size", 0)
        here = tree.get(path)
        answers.append(
            {
                "path": path,
                "uploadMode": "lfs" if goes_by_lfs(path, size) else "regular",
                "shouldIgnore": False,
                "oid": here.etag if here else None,
            }
        )
    return JSONResponse({"files": answers})


async def batch(request: Request) -> Response:
    """Tell where to send bodies; those that are here already need not be sent."""
    check_write(request)
    repo_of(request)
    body = await json_body(request)
    if body.get("operation") != "upload" or body.get("hash_algo", "sha256") != "sha256":
        raise HubError(400, "expected an upload with sha256; downloads go by /resolve/")
    objects = [_actions(request, entry) for entry in _objects(body.get("objects"))]
    return JSONResponse(
        {"transfer": "basic", "objects": objects}, media_type="application/vnd.git-lfs+json"
    )


def _objects(value: object) -> list[dict[str, Any]]:
    entries: list[Any] = value if isinstance(value, list) else [value]
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("size"), int):
            raise HubError(400, "expected a list of objects with a size, got another value")
    return entries


def _actions(request: Request, entry: dict[str, Any]) -> dict[str, Any]:
    hub, oid, size = hub_of(request), str(entry.get("oid")), entry["size"]
    answer: dict[str, Any] = {"oid": oid, "size": size}
    if not is_sha256(oid) or size < 0 or size > hub.part_size * _MOST_PARTS:
        message = f"expected a sha256 and at most {hub.part_size * _MOST_PARTS} bytes"
        return answer | {"error": {"code": 422, "message": message}}
    if hub.blobs.has(oid, size):
        return answer
    base = f"{request.base_url}lfs/{oid}"
    verify = {"href": f"{base}/verify"}
    if size <= hub.part_size:
        upload = {"href": f"{base}?size={size}&sig={hub.access.signature(oid, size)}"}
    else:
        upload = _part_addresses(hub, base, oid, size)
    return answer | {"authenticated": True, "actions": {"upload": upload, "verify": verify}}


def _part_addresses(hub: Hub, base: str, oid: str, size: int) -> dict[str, Any]:
    upload = secrets.token_hex(16)
    address = f"{base}/{upload}"
    query = f"size={size}&sig={hub.access.signature(oid, size, upload)}"
    count = _part_count(hub, size)
    parts = {f"{number:05}": f"{address}/{number}?{query}" for number in range(1, count + 1)}
    return {"href": f"{address}?{query}", "header": {"chunk_size": str(hub.part_size)} | parts}


def _part_count(hub: Hub, size: int) -> int:
    return -(-size // hub.part_size)


async def put(request: Request) -> Response:
    """Receive the bytes of one large file, and check them against its digest."""
    hub, oid, size = _signed(request)
    await hub.blobs.receive(pieces(request), sha256=oid, size=size)
    return Response(headers={"ETag": f'"{oid}"'})


async def put_part(request: Request) -> Response:
    """Take a part of a body."""
    hub, _, size = _signed(request)
    number, count = int(request.path_params["number"]), _part_count(hub, size)
    if not 1 <= number <= count:
        raise HubError(400, f"expected a part from 1 to {count}, got {number}")
    length = hub.part_size if number < count else size - (count - 1) * hub.part_size
    digest = await hub.blobs.receive_part(
        pieces(request), upload=param(request, "upload"), number=number, size=length
    )
    return Response(headers={"ETag": f'"{digest}"'})


async def finish(request: Request) -> Response:
    """Make a body of its parts."""
    hub, oid, size = _signed(request)
    if not hub.blobs.has(oid, size):  # the answer to an earlier attempt may have been lost
        await run_in_threadpool(
            hub.blobs.join,
            param(request, "upload"),
            sha256=oid,
            size=size,
            parts=_part_count(hub, size),
        )
    return JSONResponse({})


def _signed(request: Request) -> tuple[Hub, str, int]:
    hub, query, oid = hub_of(request), request.query_params, param(request, "oid")
    upload = [param(request, "upload")] if "upload" in request.path_params else []
    hub.access.check_signature(query.get("sig", ""), oid, query.get("size", ""), *upload)
    return hub, oid, int(query["size"])


async def verify(request: Request) -> Response:
    """Tell whether a body has arrived."""
    check_write(request)
    body = await json_body(request)
    oid = param(request, "oid")
    if not is_sha256(oid) or not hub_of(request).blobs.has(oid, body.get("size")):
        raise HubError(
            404, f"expected {oid} of {body.get('size')} bytes, got none; upload it again"
        )
    return JSONResponse({})


async def resolve(request: Request) -> Response:
    """Send a file of a revision, or a range of its bytes."""
    repo = repo_of(request)
    if repo.gated and right_of(request) == "none":
        raise HubError(
            401, f"{repo.id!r} is gated: its files need a token of this hub", code="GatedRepo"
        )
    commit, path = repo.find(param(request, "revision")), param(request, "path")
    file = repo.tree(commit).get(path)
    if file is None:
        raise entry_not_found(path, commit=commit)
    headers = {
        "X-Repo-Commit": commit,
        "ETag": f'"{file.etag}"',
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"inline; filename*=utf-8''{quote(path.rpartition('/')[2])}",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    }
    if file.lfs:
        headers |= {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(file.size)}
    suffix = path[path.rfind(".") :].lower()
    plain = "text/plain; charset=utf-8" if suffix in _TEXTS else "application/octet-stream"
    media_type = _SHOWN.get(suffix, plain)
    if file.size <= _SMALL and "Range" not in request.headers:
        body = await hub_of(request).blobs.read_often(file.sha256)
        return Response(body, headers=headers, media_type=media_type)
    return FileResponse(
        hub_of(request).blobs.path(file.sha256),
        headers=headers,
        media_type=media_type,
    )

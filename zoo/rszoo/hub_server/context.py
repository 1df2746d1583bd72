"""What every route needs: the hub behind a request, the repository it names, and its body."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast, get_args
from urllib.parse import unquote

from starlette.requests import Request

from rszoo.hub_server.access import Access, Right
from rszoo.hub_server.blobs import Blobs
from rszoo.hub_server.errors import HubError, repo_not_found
from rszoo.hub_server.limits import Limits
from rszoo.hub_server.repo import Kind, Repo
from rszoo.hub_server.store import Store

__all__ = [
    "Hub",
    "check_write",
    "hub_of",
    "json_body",
    "kind_of",
    "lines",
    "param",
    "parse_object",
    "pieces",
    "read_body",
    "repo_of",
    "right_of",
]

_KINDS = get_args(Kind)


@dataclass(frozen=True, kw_only=True)
class Hub:
    """A hub.

    Attributes:
        store: its repositories.
        access: its tokens.
        page_size: most entries of a list in one answer.
        part_size: bytes; larger bodies are uploaded in parts of this size.
        limits: on its connections and what comes over them.
    """

    store: Store
    access: Access
    page_size: int = 1000
    part_size: int = 1 << 26
    limits: Limits = field(default_factory=Limits)

    @property
    def blobs(self) -> Blobs:
        """The bodies of the files."""
        return self.store.blobs


def hub_of(request: Request) -> Hub:
    """Return the hub that a request is for."""
    return request.app.state.hub


def param(request: Request, name: str, default: str = "") -> str:
    """Return a part of the path, decoded; routes match on the raw path."""
    return unquote(request.path_params.get(name, default))


def kind_of(name: object) -> Kind:
    """Return a kind of repository.

    Raises:
        HubError: this hub has none of that kind.
    """
    if name not in _KINDS:
        raise HubError(404, f"expected one of {list(_KINDS)}, got {name!r}", code="RepoNotFound")
    return cast(Kind, name)


def right_of(request: Request) -> Right:
    """Return what the sender of a request may do."""
    return hub_of(request).access.right(request.headers.get("Authorization"))


def check_write(request: Request) -> None:
    """Refuse who may not write.

    Raises:
        HubError: 401 or 403.
    """
    hub_of(request).access.check_write(request.headers.get("Authorization"))


def repo_of(request: Request) -> Repo:
    """Return the repository in the path of a request.

    Raises:
        HubError: RepoNotFound; it is not there, or private and the sender may not read it.
    """
    kind = kind_of(request.path_params.get("kind", "models"))
    repo_id = f"{param(request, 'namespace')}/{param(request, 'name')}"
    repo = hub_of(request).store.get(kind, repo_id)
    if repo.private and right_of(request) == "none":
        raise repo_not_found(repo_id)
    return repo


async def json_body(request: Request) -> dict[str, Any]:
    """Return the body of a request, a JSON object.

    Raises:
        HubError: it is something else, or too large.
    """
    return parse_object(await read_body(request))


def parse_object(text: bytes | bytearray) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        HubError: the text is something else.
    """
    try:
        value = json.loads(bytes(text) or b"{}")
    except (ValueError, RecursionError) as error:
        raise HubError(400, f"expected JSON, got: {error}") from None
    if not isinstance(value, dict):
        raise HubError(400, f"expected a JSON object, got {type(value).__name__}")
    return value


async def read_body(request: Request) -> bytes:
    """Return the body of a request.

    Raises:
        HubError: it is too large, or too slow.
    """
    body, most = bytearray(), _largest_body(request)
    async for piece in pieces(request):
        body += piece
        _check_size(body, most)
    return bytes(body)


async def lines(request: Request) -> AsyncIterator[bytes]:
    """Yield the lines of a body, which may be larger than the memory.

    Raises:
        HubError: a line is too large, or the body too slow.
    """
    waiting, most = bytearray(), _largest_body(request)
    async for piece in pieces(request):
        waiting += piece
        *whole, waiting = waiting.split(b"\n") if b"\n" in piece else [waiting]
        for line in whole:
            yield bytes(line)
        _check_size(waiting, most)
    yield bytes(waiting)


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """Yield the pieces of a body as they come in.

    Raises:
        HubError: they come so slowly that somebody might only want to keep the hub waiting.
    """
    limits, clock = hub_of(request).limits, asyncio.get_running_loop().time
    size, waited, asked = 0, 0.0, clock()
    async for piece in request.stream():
        size, waited = size + len(piece), waited + clock() - asked
        if waited > limits.pause + size / limits.slowest:
            raise HubError(
                408,
                f"expected at least {limits.slowest:.0f} bytes per second, got fewer; try again",
                headers={"Connection": "close"},
            )
        yield piece
        asked = clock()


def _largest_body(request: Request) -> int:
    limits = hub_of(request).limits
    return limits.body_of_anybody if right_of(request) == "none" else limits.body


def _check_size(body: bytearray, most: int) -> None:
    if len(body) > most:
        raise HubError(
            413,
            f"expected at most {most} bytes at once; large files go by LFS",
            headers={"Connection": "close"},
        )

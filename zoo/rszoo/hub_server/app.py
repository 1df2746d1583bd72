"""The routes of the hub, as one ASGI application."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rszoo.hub_server import lfs, pages, reads, writes
from rszoo.hub_server.context import Hub
from rszoo.hub_server.errors import HubError, on_crash, on_error

__all__ = ["make_app"]

_REPO = "/api/{kind}/{namespace}/{name}"
_FILE = "/{namespace}/{name}/resolve/{revision}/{path:path}"
_BATCH = "/{namespace}/{name}.git/info/lfs/objects/batch"


def make_app(hub: Hub, *, hosts: list[str] | None = None) -> Starlette:
    """Return the application of a hub.

    Args:
        hosts: names under which it may be addressed; None for any. On loopback a list keeps web
            pages from elsewhere from reading it under a name of their own (DNS rebinding).
    """
    app = Starlette(
        routes=_routes(),
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts or ["*"], www_redirect=False),
            Middleware(_RawPath),
        ],
        exception_handlers={HubError: on_error, ClientDisconnect: _on_gone, Exception: on_crash},
    )
    app.state.hub = hub
    return app


def _routes() -> list[Route]:
    return [
        Route(_FILE, lfs.resolve),  # what is asked for most is tried first
        Route(f"/{{kind}}{_FILE}", lfs.resolve),
        Route("/api/whoami-v2", reads.whoami),
        Route("/api/validate-yaml", writes.validate_card, methods=["POST"]),
        Route("/api/repos/create", writes.create, methods=["POST"]),
        Route("/api/repos/delete", writes.delete, methods=["DELETE"]),
        Route("/api/{kind}", reads.repos),
        Route(_REPO, reads.info),
        Route(f"{_REPO}/revision/{{revision}}", reads.info),
        Route(f"{_REPO}/tree/{{revision}}", reads.tree),
        Route(f"{_REPO}/tree/{{revision}}/{{path:path}}", reads.tree),
        Route(f"{_REPO}/paths-info/{{revision}}", reads.paths_info, methods=["POST"]),
        Route(f"{_REPO}/refs", reads.refs),
        Route(f"{_REPO}/commits/{{revision}}", reads.commits),
        Route(f"{_REPO}/settings", writes.settings, methods=["PUT"]),
        Route(f"{_REPO}/tag/{{revision}}", writes.tag, methods=["POST", "DELETE"]),
        Route(f"{_REPO}/branch/{{revision}}", writes.branch, methods=["POST", "DELETE"]),
        Route(f"{_REPO}/preupload/{{revision}}", lfs.preupload, methods=["POST"]),
        Route(f"{_REPO}/commit/{{revision}}", writes.commit, methods=["POST"]),
        Route(_BATCH, lfs.batch, methods=["POST"]),
        Route(f"/{{kind}}{_BATCH}", lfs.batch, methods=["POST"]),
        Route("/lfs/{oid}", lfs.put, methods=["PUT"]),
        Route("/lfs/{oid}/verify", lfs.verify, methods=["POST"]),
        Route("/lfs/{oid}/{upload}", lfs.finish, methods=["POST"]),
        Route("/lfs/{oid}/{upload}/{number:int}", lfs.put_part, methods=["PUT"]),
        Route("/", pages.index),
        Route("/favicon.ico", pages.no_icon),
        Route("/{namespace}/{name}", pages.model),
    ]


def _on_gone(request: Request, error: Exception) -> Response:
    """The sender hung up in the middle of a body: there is nobody to answer."""
    return Response(status_code=400)


class _RawPath:
    """Routes on the path as sent, where `refs%2Fpr%2F1` is one part; and sets `nosniff`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        raw = scope.get("raw_path") or scope["path"].encode()
        await self.app({**scope, "path": raw.decode("latin-1")}, receive, sending)

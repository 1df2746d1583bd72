"""The routes of the explorer, as one ASGI application, and what they refuse.

It computes for whoever asks: so it answers its own page alone. Other pages reach it neither under
a name of their own (DNS rebinding) nor by requests from elsewhere, and the policy of the page lets
nothing from elsewhere into it.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rszoo.errors import RszooError
from rszoo.explorer.asked import MOST_BODY, AskedCertificate, AskedPoint
from rszoo.explorer.certifying import certify
from rszoo.explorer.moving import move
from rszoo.explorer.pictures import Kept, as_array_file, as_png, noisy_png, read_upload
from rszoo.explorer.session import Session
from rszoo.explorer.work import Busy, Emit

__all__ = ["make_app"]

A = TypeVar("A", bound=BaseModel)

_STATIC = Path(__file__).parent / "static"
_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}
_PAGE = "index.html"
_MOST_JSON = 1 << 16

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def make_app(session: Session, *, hosts: list[str] | None = None) -> Starlette:
    """Return the application of an explorer.

    Args:
        session: what it explores.
        hosts: names under which it may be addressed; None for any.
    """
    app = Starlette(
        routes=[
            Route("/", partial(_static, name=_PAGE)),
            Route("/favicon.ico", _no_icon),
            Route("/static/{name}", _static_file),
            Route("/model", _model),
            Route("/voters", _voters),
            Route("/images", _upload, methods=["POST"]),
            Route("/images/{id}.png", _png),
            Route("/images/{id}.npy", _array_file),
            Route("/images/{id}/noisy.png", _noisy),
            Route("/tests/{place:int}", _test_image),
            Route("/certify", _certify, methods=["POST"]),
            Route("/move", _move, methods=["POST"]),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts or ["*"], www_redirect=False),
            Middleware(_OwnPage),
        ],
        exception_handlers={
            RszooError: _on_error,
            Busy: _on_busy,
            ClientDisconnect: lambda request, error: Response(status_code=400),
        },
    )
    app.state.session = session
    return app


class _OwnPage:
    """Refuses requests of other pages, and sets the headers of every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [(name.lower().encode(), text.encode()) for name, text in _HEADERS.items()]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        if scope["type"] == "http" and _is_of_another_page(Request(scope)):
            refusal = PlainTextResponse("expected a request of the explorer's own page", 403)
            await refusal(scope, receive, sending)
            return
        await self.app(scope, receive, sending)


def _is_of_another_page(request: Request) -> bool:
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{request.headers.get('Host', '')}":
        return True
    # A link to the page may be anywhere; nothing else is asked for from there.
    site = request.headers.get("Sec-Fetch-Site", "none")
    return request.url.path != "/" and site not in ("same-origin", "none")


def _session(request: Request) -> Session:
    return request.app.state.session


def _on_error(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


def _on_busy(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 503, headers={"Retry-After": "1"})


def _no_icon(request: Request) -> Response:
    return Response(status_code=204)


def _static(request: Request, *, name: str) -> Response:
    path = _STATIC / name
    return Response(path.read_bytes(), media_type=_TYPES[path.suffix])


def _static_file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in {path.name for path in _STATIC.iterdir() if path.suffix in _TYPES}:
        return Response(status_code=404)
    return _static(request, name=name)


def _model(request: Request) -> Response:
    return JSONResponse(_session(request).described())


async def _voters(request: Request) -> Response:
    session = _session(request)
    model = request.query_params.get("model", session.bundle.id)
    return JSONResponse(await session.worker.result(partial(session.voters, model)))


async def _upload(request: Request) -> Response:
    session = _session(request)
    body = await _body(request, MOST_BODY)
    name = request.query_params.get("name", "the picture")[:100]
    shape = session.bundle.config.input_shape
    image, notes = await session.worker.result(partial(read_upload, body, name, shape))
    return _described(session, session.pictures.keep(image, name=name, notes=notes))


async def _test_image(request: Request) -> Response:
    session = _session(request)
    place = request.path_params["place"]
    return _described(session, await session.worker.result(partial(session.test_image, place)))


def _described(session: Session, kept: Kept) -> Response:
    names = session.bundle.config.class_names
    label = None if kept.label is None else names[kept.label]
    return JSONResponse(
        {"id": kept.id, "name": kept.name, "true_class": label, "notes": kept.notes}
    )


def _kept(request: Request) -> Kept:
    return _session(request).pictures[request.path_params["id"]]


def _png(request: Request) -> Response:
    return Response(as_png(_kept(request).image), media_type="image/png")


def _array_file(request: Request) -> Response:
    return Response(as_array_file(_kept(request).image), media_type="application/octet-stream")


async def _noisy(request: Request) -> Response:
    session, kept = _session(request), _kept(request)
    model = request.query_params.get("model", session.bundle.id)
    voter = request.query_params.get("voter", "")

    def picture() -> bytes:
        classifier = session.classifier(model)
        voters = [one for one, _ in classifier.voters.values()]
        chosen = classifier.voters[voter][0] if voter in classifier.voters else voters[0]
        return noisy_png(
            kept.image,
            sigma=chosen.applied_sigma,
            seed=session.seed,
            scheme=chosen.scheme,
            device=classifier.device,
        )

    return Response(await session.worker.result(picture), media_type="image/png")


async def _certify(request: Request) -> Response:
    asked = await _asked(request, AskedCertificate)
    return await _events(request, partial(certify, _session(request), asked))


async def _move(request: Request) -> Response:
    asked = await _asked(request, AskedPoint)
    return await _events(request, partial(move, _session(request), asked))


async def _events(request: Request, job: Callable[[Emit], None]) -> Response:
    """Return a stream of events, once it is begun; closing the connection ends the job."""
    events = _session(request).worker.events(job)
    await anext(events)
    return StreamingResponse(events, media_type="text/event-stream")


async def _asked(request: Request, model: type[A]) -> A:
    """Return what the body of a request asks for.

    Raises:
        RszooError: it is no JSON, or out of range.
    """
    try:
        return model.model_validate_json(await _body(request, _MOST_JSON))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the request"
        raise RszooError(f"{where}: {first['msg']}") from None


async def _body(request: Request, most: int) -> bytes:
    """Return the body of a request.

    Raises:
        RszooError: it is too large, which is known before it is read where its sender says so.
    """
    stated = request.headers.get("Content-Length", "0")
    body = bytearray()
    if not (stated.isdecimal() and len(stated) < 20 and int(stated) <= most):
        raise RszooError(f"expected at most {most:,} bytes, got {stated[:20]}")
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise RszooError(f"expected at most {most:,} bytes, got more")
    return bytes(body)

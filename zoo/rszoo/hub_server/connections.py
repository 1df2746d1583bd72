"""Connections that neither wait for their client for ever nor keep others out."""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from rszoo.hub_server.limits import Limits

__all__ = ["Listener", "Server", "server_config"]

_CHECKS = 8  # in the shortest time that is allowed for anything
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
    b"Content-Length: 0\r\n\r\n"
)


class Listener(socket.socket):
    """A listening socket where many may wait, though few are accepted at once.

    asyncio accepts up to as many as may wait before it looks at any, beyond what the process may
    open, and then complains of each.
    """

    def listen(self, backlog: int = 0, /) -> None:
        """Let as many wait as the system allows."""
        super().listen(socket.SOMAXCONN)


class Server(uvicorn.Server):
    """A server that says when it is interrupted, before it waits for what is being answered."""

    def __init__(self, config: uvicorn.Config, interrupted: Callable[[], None]) -> None:
        """Begin with what is called, in the main thread, at every interrupt."""
        super().__init__(config)
        self._interrupted = interrupted

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Let what is being answered come to an end."""
        self._interrupted()
        super().handle_exit(sig, frame)


def server_config(app: ASGIApp, limits: Limits) -> uvicorn.Config:
    """Return how uvicorn serves a hub."""
    return uvicorn.Config(
        app,
        http=cast(Any, partial(_Connection, limits=limits)),
        ws="none",
        lifespan="off",
        log_level="error",  # it would warn of every request that is no HTTP
        access_log=False,
        server_header=False,
        backlog=limits.accepted_at_once,
        timeout_graceful_shutdown=5,
    )


class _Connection(H11Protocol):
    def __init__(self, *arguments: Any, limits: Limits, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.limits = limits
        self.idle_since = self.heard = self.loop.time()
        self.held_up_since: float | None = None
        self.check_in = min(limits.head, limits.pause) / _CHECKS
        self.check: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.check = self.loop.call_later(self.check_in, self._check)
        if len(self.connections) > self.limits.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.check is not None:
            self.check.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.heard = self.loop.time()
        super().data_received(data)

    def on_response_complete(self) -> None:
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        self.held_up_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self.held_up_since = None
        super().resume_writing()

    @property
    def idle(self) -> bool:
        """Whether no request is being answered; the next may be on its way."""
        return self.cycle is None or self.cycle.response_complete

    def _make_room(self) -> None:
        others = [one for one in self.connections if isinstance(one, _Connection) and one.idle]
        longest = min(others, key=lambda one: one.idle_since)
        if longest is self:
            self.transport.write(_REFUSAL)
        longest.leave()

    def leave(self) -> None:
        """Close the connection, which makes room for another one at once."""
        self.connections.discard(self)
        self.transport.close()

    def _check(self) -> None:
        if self._is_late():
            self.transport.abort()  # what it has not taken by now is not waited for
        else:
            self.check = self.loop.call_later(self.check_in, self._check)

    def _is_late(self) -> bool:
        now, limits = self.loop.time(), self.limits
        if self.idle:
            return now - self.idle_since > limits.head
        if self.held_up_since is not None:
            return now - self.held_up_since > limits.pause
        awaited = self.cycle.more_body and not self.flow.read_paused
        return awaited and now - self.heard > limits.pause

"""The process: a socket, the lock on the folder, uvicorn."""

import secrets
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rszoo.errors import RszooError
from rszoo.hub_server.access import Access
from rszoo.hub_server.limits import Limits

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["new_token", "serve", "serve_app"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def new_token() -> str:
    """Return a token that nobody can guess."""
    return f"hf_{secrets.token_urlsafe(24)}"


def serve(
    root: Path, *, host: str, port: int, access: Access, ready: Callable[[str], None]
) -> None:
    """Run a hub until it is interrupted.

    Args:
        root: its folder, made if need be.
        port: 0 takes a free one.
        ready: called with the hub's address as soon as it answers there.

    Raises:
        RszooError: the folder is in use or unreadable, or the address cannot be had.
        KeyboardInterrupt: Ctrl-C, after all is closed.
    """
    from rszoo.hub_server.app import make_app
    from rszoo.hub_server.context import Hub
    from rszoo.hub_server.store import open_store

    limits = Limits.of_process()
    with open_store(root) as store:
        hub = Hub(store=store, access=access, limits=limits)
        make = partial(make_app, hub)
        serve_app(make, limits=limits, host=host, port=port, ready=ready)


def serve_app(
    make: "Callable[..., ASGIApp]",
    *,
    limits: Limits,
    host: str,
    port: int,
    ready: Callable[[str], None],
    interrupted: Callable[[], None] = lambda: None,
) -> None:
    """Run an application until it is interrupted.

    Args:
        make: makes it of `hosts`, the names under which it may be addressed; None for any.
        limits: of what it holds and waits for.
        host, port, ready: as `serve` takes them.
        interrupted: called before what is being answered is waited for, a few seconds at most.

    Raises:
        RszooError: the address cannot be had.
        KeyboardInterrupt: Ctrl-C, after all is closed.
    """
    from rszoo.hub_server.connections import Server, server_config

    with _listening(host, port) as listener:
        hosts = [*_LOOPBACK, "[::1]"] if host in _LOOPBACK else None
        config = server_config(make(hosts=hosts), limits)
        ready(_address(host, listener.getsockname()[1]))
        Server(config, interrupted).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    from rszoo.hub_server.connections import Listener

    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return Listener(fileno=socket.create_server((host, port), family=family).detach())
    except OSError as error:
        raise RszooError(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another --port "
            "or --host"
        ) from error


def _address(host: str, port: int) -> str:
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

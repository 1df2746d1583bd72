"""The process of the explorer: a session, and the server that hubs have."""

from collections.abc import Callable
from functools import partial

from rszoo.explorer.app import make_app
from rszoo.explorer.session import Session
from rszoo.hub_server.limits import Limits
from rszoo.hub_server.serve import serve_app

__all__ = ["serve"]


def serve(session: Session, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Run an explorer until it is interrupted.

    Args:
        session: what it explores.
        host: address to listen on.
        port: 0 takes a free one.
        ready: called with the page's address as soon as it answers there.

    Raises:
        RszooError: the address cannot be had.
        KeyboardInterrupt: Ctrl-C, after all is closed.
    """
    make = partial(make_app, session)
    where = {"host": host, "port": port, "ready": ready, "interrupted": session.worker.end}
    serve_app(make, limits=Limits.of_process(), **where)

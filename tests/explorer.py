"""What tests of the explorer share: a client of its page, and the events that it is sent."""

import json
from typing import Any

from starlette.testclient import TestClient

from rszoo.explorer.app import make_app
from rszoo.explorer.session import Session
from rszoo.hub.catalog import find

SEED = 5
HOST = "127.0.0.1:8000"


def opened(model: str) -> Session:
    """Return a session of a model that comes with rszoo."""
    return Session(find(f"builtin/{model}"), seed=SEED)


def client_of(session: Session) -> TestClient:
    """Return what asks as the explorer's own page does."""
    return TestClient(make_app(session, hosts=["127.0.0.1"]), base_url=f"http://{HOST}")


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the names and values of the events in a stream."""
    found = []
    for block in text.split("\n\n"):
        if block and not block.startswith(":"):
            name, data = block.split("\n")
            values = json.loads(data.removeprefix("data: "))
            found.append((name.removeprefix("event: "), values))
    return found

"""Requests to the hub as they are written, without a client that corrects them."""

import base64
import hashlib
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from hub_server import RunningHub

NAME = "team/model"
BODY = b"0123456789" * 3


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


class Wire:
    """Requests as they are written, without a client that corrects them."""

    def __init__(self, hub: RunningHub) -> None:
        self.hub = hub

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        **headers: str,
    ) -> Answer:
        host = urlsplit(self.hub.url).netloc
        connection = http.client.HTTPConnection(host, timeout=20)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, data, headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def write(self, method: str, path: str, body: object = None) -> Answer:
        return self(method, path, body, token=self.hub.token)

    def commit(self, *operations: tuple[str, dict[str, object]], branch: str = "main") -> Answer:
        header = ("header", {"summary": "x", "description": ""})
        lines = [json.dumps({"key": key, "value": value}) for key, value in (header, *operations)]
        return self.write("POST", f"/api/models/{NAME}/commit/{branch}", "\n".join(lines).encode())

    def add(self, path: object, body: bytes = BODY) -> Answer:
        content = base64.b64encode(body).decode()
        return self.commit(("file", {"path": path, "content": content, "encoding": "base64"}))

    def upload_address(self, body: bytes) -> dict[str, Any]:
        oid = hashlib.sha256(body).hexdigest()
        answer = self.write(
            "POST",
            f"/{NAME}.git/info/lfs/objects/batch",
            {"operation": "upload", "objects": [{"oid": oid, "size": len(body)}]},
        )
        return answer.json["objects"][0]


@pytest.fixture
def wire(hub: RunningHub) -> Wire:
    hub.api.create_repo(NAME)
    return Wire(hub)


def path_of(url: str) -> str:
    return url.partition("//")[2].partition("/")[2].join(("/", ""))

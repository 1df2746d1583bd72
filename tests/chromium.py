"""A real headless Chromium, spoken to over its debugging pipe."""

import base64
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

EXECUTABLE = shutil.which("chromium")
PHONE = (390, 844)
DESKTOP = (1280, 900)


class Browser:
    """One tab of a browser.

    Attributes:
        requests: id -> address of everything that was asked for since `open`, and not blocked.
        complaints: errors of the page and of its policies since `open`.
    """

    def __init__(self, to: BinaryIO, answers: BinaryIO) -> None:
        self.to, self.answers = to, answers
        self.numbers = itertools.count(1)
        self.session: str | None = None
        self.events: list[str] = []
        self.requests: dict[str, str] = {}
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        number = next(self.numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.to.write(json.dumps(message).encode() + b"\0")
        self.to.flush()
        while (answer := self._next()).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, url: str, *, size: tuple[int, int] = DESKTOP, dark: bool = False) -> None:
        """Open a page and wait until it is loaded."""
        width, height = size
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=size == PHONE,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        for seen in (self.events, self.requests, self.complaints):
            seen.clear()
        self.call("Page.navigate", url=url)
        while "Page.loadEventFired" not in self.events:
            self._next()

    def evaluate(self, expression: str) -> Any:  # noqa: ANN401 (whatever the page says)
        """Return the value of an expression on the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """Write a picture of what is on the screen."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def _next(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self.answers.read(1)) != b"\0":
            assert byte, "the browser is gone"
            text += byte
        message = json.loads(text)
        method, params = message.get("method", ""), message.get("params", {})
        self.events.append(method)
        if method == "Network.requestWillBeSent":
            self.requests[params["requestId"]] = params["request"]["url"]
        elif method == "Network.loadingFailed" and params.get("blockedReason") == "csp":
            del self.requests[params["requestId"]]
        elif method == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"]["text"])
        return message


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start a browser with a profile of its own."""
    assert EXECUTABLE
    there, to = os.pipe()
    answers, back = os.pipe()
    flags = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run"
    flags += " --hide-scrollbars --disable-background-networking --remote-debugging-pipe"
    command = f'exec "$0" {flags} --user-data-dir="$1" 3<&{there} 4>&{back} >/dev/null 2>&1'
    process = subprocess.Popen(
        ["bash", "-c", command, EXECUTABLE, str(profile)], pass_fds=(there, back)
    )
    os.close(there)
    os.close(back)
    with open(to, "wb") as out, open(answers, "rb") as inward:
        try:
            yield Browser(out, inward)
        finally:
            process.terminate()
            process.wait(timeout=20)

"""A hub in a process of its own, which can be killed and started again at the same address."""

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from _shots import Fork, Range

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["TOKEN", "Served"]

TOKEN = "hf_of_the_shots"
_PATIENCE = 60.0  # seconds until it answers


class Served:
    """A hub of one folder at one address, served by one process after the other."""

    def __init__(self, where: Range, root: Path) -> None:
        self._where, self.root = where, root.resolve()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        os.environ |= {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": TOKEN,
            "HF_HOME": str(self.root.parent / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        }

    def start(self) -> Fork:
        """Start the hub, and wait until it answers."""
        process = self._where.start(
            "hub", "serve", "--root", str(self.root), "--port", str(self.port), "--token", TOKEN
        )
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(self._where.log.read_text()) from None
                time.sleep(0.02)
            else:
                return process

    @property
    def api(self) -> "HfApi":
        """A client that may write."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.url, token=TOKEN)

"""The bodies of files, each stored once under its sha256, and uploads that are not yet complete.

A body gets its name only when all of it is on the disk and has the digest that was promised.
"""

import hashlib
import shutil
from collections.abc import AsyncIterator, Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from rszoo.hub_server.errors import HubError
from rszoo.hub_server.files import Incoming, incoming, place
from rszoo.hub_server.names import is_sha256

__all__ = ["Blobs"]

_BLOCK = 1 << 20
_MOST_KEPT = 1024


@dataclass(frozen=True)
class Blobs:
    """A folder of bodies.

    Attributes:
        folder: complete bodies, each under its sha256.
        uploads: parts and bodies on their way; nothing in it outlives the process.
        kept: small bodies that were asked for, the oldest first.
    """

    folder: Path
    uploads: Path
    kept: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    def prepare(self) -> None:
        """Make the folders, without what an earlier process left unfinished."""
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.uploads, ignore_errors=True)
        self.uploads.mkdir()
        for left in self.folder.glob(".*.tmp"):  # by earlier versions, when they were killed
            left.unlink()

    def path(self, sha256: str) -> Path:
        """Return where a body is, or would be."""
        return self.folder / sha256

    def has(self, sha256: str, size: int | None = None) -> bool:
        """Return whether a body is here, and is of that size."""
        try:
            found = self.path(sha256).stat().st_size
        except OSError:
            return False
        return size is None or size == found

    def read(self, sha256: str) -> bytes:
        """Return a body, which should be a small one."""
        return self.path(sha256).read_bytes()

    async def read_often(self, sha256: str) -> bytes:
        """Return a small body, which is kept in memory while it is asked for again and again."""
        body = self.kept.get(sha256)
        if body is None:
            body = await run_in_threadpool(self.read, sha256)
            self.kept[sha256] = body
            if len(self.kept) > _MOST_KEPT:
                del self.kept[next(iter(self.kept))]
        return body

    def put(self, body: bytes) -> str:
        """Store a small body and return its sha256."""
        sha256 = hashlib.sha256(body).hexdigest()
        if not self.has(sha256, len(body)):
            place(self.path(sha256), body, folder=self.uploads)
        return sha256

    async def receive(self, stream: AsyncIterator[bytes], *, sha256: str, size: int) -> None:
        """Store a body while it comes in.

        Raises:
            HubError: it is not of the promised size or digest; nothing of it is kept.
        """
        with incoming(self.path(sha256), folder=self.uploads) as new:
            body = _Body(new)
            await body.take(stream, at_most=size)
            await run_in_threadpool(body.seal, sha256, size)

    async def receive_part(
        self, stream: AsyncIterator[bytes], *, upload: str, number: int, size: int
    ) -> str:
        """Keep one part of a body until `join`, and return its digest.

        Raises:
            HubError: it is not of the promised size.
        """
        folder = self.uploads / upload
        with incoming(folder / f"{number:05}", folder=folder) as new:
            body = _Body(new)
            await body.take(stream, at_most=size)
            await run_in_threadpool(body.seal, None, size)
        return body.digest.hexdigest()

    def remove_all_but(self, wanted: Set[str]) -> tuple[int, int]:
        """Remove the bodies that are not wanted, and return how many and how many bytes."""
        gone = [
            path
            for path in self.folder.iterdir()
            if is_sha256(path.name) and path.name not in wanted
        ]
        size = sum(path.stat().st_size for path in gone)
        for path in gone:
            path.unlink()
        return len(gone), size

    def join(self, upload: str, *, sha256: str, size: int, parts: int) -> None:
        """Make a body of its parts, which are gone afterwards in any case.

        Raises:
            HubError: a part is missing, or the body is not of the promised size or digest.
        """
        folder = self.uploads / upload
        try:
            with incoming(self.path(sha256), folder=self.uploads) as new:
                body = _Body(new)
                for number in range(1, parts + 1):
                    for block in _blocks(folder / f"{number:05}"):
                        body.write(block)
                body.seal(sha256, size)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class _Body:
    """A body that is being written: its size and digest so far."""

    def __init__(self, new: Incoming) -> None:
        self.new = new
        self.size = 0
        self.digest = hashlib.sha256()

    def write(self, block: bytes | bytearray) -> None:
        self.new.file.write(block)
        self.digest.update(block)
        self.size += len(block)

    async def take(self, stream: AsyncIterator[bytes], *, at_most: int) -> None:
        """Write what comes in, some at a time and off the event loop."""
        waiting = bytearray()
        async for chunk in stream:
            waiting += chunk
            if self.size + len(waiting) > at_most:
                raise HubError(400, f"expected {at_most} bytes, got more")
            if len(waiting) >= _BLOCK:
                await run_in_threadpool(self.write, waiting)
                waiting = bytearray()
        await run_in_threadpool(self.write, waiting)

    def seal(self, sha256: str | None, size: int) -> None:
        """Compare with what was promised, and keep it."""
        if self.size != size:
            raise HubError(400, f"expected {size} bytes, got {self.size}; upload it again")
        if sha256 is not None and self.digest.hexdigest() != sha256:
            raise HubError(
                400, f"expected sha256 {sha256}, got {self.digest.hexdigest()}; upload it again"
            )
        self.new.keep()


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        raise HubError(
            400, f"expected part {path.name}, got none; upload the file again"
        ) from None
    with file:
        while block := file.read(_BLOCK):
            yield block

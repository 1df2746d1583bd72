"""How much one hub does at a time, and how long it waits for those it serves."""

import resource
from dataclasses import dataclass

__all__ = ["Limits"]

_OWN_FILES = 32  # what a process has open without any connection
_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on what others can make a hub hold and wait for.

    Attributes:
        connections: open ones; one more takes the place of the one that has been idle longest,
            or is refused where none is idle.
        accepted_at_once: connections that are accepted before the first of them is looked at.
        head: seconds until the head of a request is there, from the end of the last one.
        pause: seconds without a piece of a body, or without a piece of an answer being taken.
        slowest: bytes per second, on average, of a body that takes longer than `pause`.
        body: bytes of a body, or of a line of a commit, that is held in memory.
        body_of_anybody: bytes of a body from who has no token.
    """

    connections: int = 512
    accepted_at_once: int = _AT_ONCE
    head: float = 20.0
    pause: float = 30.0
    slowest: float = 4096.0
    body: int = 1 << 24
    body_of_anybody: int = 1 << 18

    @classmethod
    def of_process(cls) -> "Limits":
        """Return limits that the number of files this process may open can bear.

        A connection needs two: itself, and the file that is sent.
        """
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if most == resource.RLIM_INFINITY:
            return cls()
        fitting = (most - _OWN_FILES - _AT_ONCE) // 2
        return cls(connections=max(1, min(cls.connections, fitting)))

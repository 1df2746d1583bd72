"""Curves that are drawn once, however often the same logs are published or tracked."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

from rszoo.evaluation import plot
from rszoo.evaluation._steps import steps
from rszoo.evaluation.log import LogTable

__all__ = ["drawn_once"]


@contextmanager
def drawn_once() -> Iterator[None]:
    """Have `rszoo.evaluation.plot.picture` remember what it drew, by all that is seen of it."""
    drawn: dict[object, bytes] = {}
    draw = plot.picture

    def picture(logs: Sequence[LogTable]) -> bytes:
        seen = tuple(
            (plot._label(log), log.given, log.kind.name, *(p.tobytes() for p in steps(log)))
            for log in logs
        )
        if seen not in drawn:
            drawn[seen] = draw(logs)
        return drawn[seen]

    with patch.object(plot, "picture", picture):
        yield

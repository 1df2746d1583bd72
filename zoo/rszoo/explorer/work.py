"""The one thread that computes, and the events it gives to those who wait for them.

Networks use all cores that there are: several computations at once would only be slower. Few may
wait; more are refused. One whose page has gone is ended at its next event or batch of draws.
"""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from rszoo.errors import RszooError

__all__ = ["Busy", "Emit", "Worker"]

T = TypeVar("T")

_MOST_AT_ONCE = 8  # one that runs, and those that wait


class Busy(RszooError):
    """So much is asked for already that nothing more is taken."""


class _Ended(Exception):
    """The one who asked is gone."""


class Emit:
    """Gives the events of a computation away, and ends it when nobody waits for them.

    Calling it with a name and JSON values gives an event; `check` gives none.
    """

    def __init__(self, give: Callable[[str], None]) -> None:
        """Begin with the function that takes the text of each event."""
        self._give = give
        self._gone = threading.Event()

    def __call__(self, name: str, values: dict[str, Any]) -> None:
        self.check()
        self._give(_event(name, values))

    def check(self, *_: object) -> None:
        """End the computation, by an exception, if nobody waits for it any more."""
        if self._gone.is_set():
            raise _Ended

    def end(self) -> None:
        """Have the computation end; called from outside of it."""
        self._gone.set()


class Worker:
    """One thread, which does one thing after the other."""

    def __init__(self) -> None:
        """Start no thread yet."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="explorer")
        self._asked = 0
        self._emits: set[Emit] = set()

    async def result(self, function: Callable[[], T]) -> T:
        """Return what a function returns, which takes little time.

        Raises:
            Busy: too much is asked for already.
        """
        self._take()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function)
        finally:
            self._asked -= 1

    async def events(self, job: Callable[[Emit], None]) -> AsyncGenerator[str]:
        """Yield the events that a job emits, as texts of an event stream, after a comment.

        An error that the user can do something about is the last event, `failed`. Closing the
        generator ends the job.

        Raises:
            Busy: before the comment; too much is asked for already.
        """
        self._take()
        texts: asyncio.Queue[str | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def give(text: str | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(texts.put_nowait, text)

        emit = Emit(give)
        self._emits.add(emit)
        doing = self._thread.submit(_done, job, emit, give)
        try:
            yield ": begun\n\n"
            while (text := await texts.get()) is not None:
                yield text
        finally:
            emit.end()
            self._emits.discard(emit)
            doing.cancel()
            self._asked -= 1

    def end(self) -> None:
        """End the jobs that run or wait, whose events end, too."""
        for emit in [*self._emits]:
            emit.end()

    def _take(self) -> None:
        if self._asked >= _MOST_AT_ONCE:
            raise Busy("the explorer is busy with other requests; try again in a moment")
        self._asked += 1


def _done(job: Callable[[Emit], None], emit: Emit, give: Callable[[str | None], None]) -> None:
    """Do a job, say what went wrong, and that it is done."""
    try:
        emit.check()
        job(emit)
    except _Ended:
        pass
    except RszooError as error:
        give(_event("failed", {"error": str(error)}))
    except Exception as error:  # a defect, which the page is to show, not to wait for
        give(_event("failed", {"error": f"{type(error).__name__}: {error}"}))
    finally:
        give(None)


def _event(name: str, values: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(values)}\n\n"

"""When a training may be interrupted: anywhere but in the middle of a write to the MLflow store.

An exception out of a signal handler may come between any two instructions. Inside SQLAlchemy it
can leave a transaction open, and the store locked: the end of the run could then not be written.
Where Python drops exceptions, as in a finaliser, it is lost: it is raised again after the next
write.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["terminable", "uninterrupted"]


class _Signals:
    """SIGINT and SIGTERM of this process: how many blocks hold them back, and which came last."""

    held = 0
    came: int | None = None

    @classmethod
    def stop(cls, signum: int, frame: FrameType | None = None) -> None:
        cls.came = signum
        if cls.held:
            return
        if signum == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + signum)


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into SystemExit, so that a stopped run is recorded as stopped.

    Within the block SIGTERM, and SIGINT where Python's own handler was to take it, wait for the
    end of `uninterrupted` blocks.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, _Signals.stop)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, _Signals.stop)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        _Signals.came = None


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let the signals of `terminable` wait for the end of the block. For short blocks."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Signals.held += 1
    try:
        yield
    finally:
        _Signals.held -= 1
        if not _Signals.held and _Signals.came is not None:
            _Signals.stop(_Signals.came)

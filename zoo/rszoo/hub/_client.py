"""The client of a hub as we use it: patient, quiet, and without Xet where there is none.

It retries most of its calls itself; what it does not is retried here.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from typing import TypeVar

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    logging,
)

from rszoo.hub._explained import endpoint

__all__ = ["api", "has_changed", "patiently", "quiet", "without_xet"]

T = TypeVar("T")

# Seconds before each new attempt at a call that the hub answered with "later", or with a fault.
_WAITS = (0.5, 1.0, 2.0, 4.0)
_LATER = (408, 429, 500, 502, 503, 504)
_CHANGED = (409, 412)


def api() -> HfApi:
    """Return a client of the hub in use."""
    return HfApi(endpoint=endpoint(), library_name="rszoo")


def patiently(call: Callable[[], T]) -> T:
    """Return what a call returns, trying again while the hub has passing troubles."""
    for wait in _WAITS:
        try:
            return call()
        except HfHubHTTPError as error:
            if error.response is None or error.response.status_code not in _LATER:
                raise
        except JSONDecodeError:  # of an answer whose status the client does not look at
            pass
        time.sleep(wait)
    return call()


def has_changed(error: HfHubHTTPError) -> bool:
    """Return whether a hub refuses a write as something is there that was not before."""
    return error.response is not None and error.response.status_code in _CHANGED


@contextmanager
def without_xet() -> Iterator[None]:
    """Upload by LFS: only huggingface.co speaks Xet, and the client asks any hub for it."""
    before = constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_DISABLE_XET = before or endpoint() != "https://huggingface.co"
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = before


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out the client's remarks, and its progress bars where nobody watches."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    leave = are_progress_bars_disabled() or sys.stderr.isatty()
    if not leave:
        disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if not leave:
            enable_progress_bars()

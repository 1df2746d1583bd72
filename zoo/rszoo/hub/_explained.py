"""What went wrong between a hub and us, in words that say what to do."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from rszoo.errors import HubError
from rszoo.hub.ids import HubId

__all__ = ["HTTPError", "endpoint", "explained"]

#: The root of the HTTP library in use, which depends on the client's version.
HTTPError: type[Exception] = HfHubHTTPError.__mro__[1]


def endpoint() -> str:
    """Return the address of the hub in use: `HF_ENDPOINT`, or huggingface.co."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


@contextmanager
def explained(model: HubId | None, *, writing: bool = False) -> Iterator[None]:
    """Turn the exceptions of the client into errors that say what to do."""
    hub, what = endpoint(), "its list of models" if model is None else str(model)
    try:
        yield
    except GatedRepoError as error:
        raise HubError(
            f"{what} is gated: ask for access on its page at {hub}, then set HF_TOKEN or run "
            "`hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise HubError(f"{hub} has no such revision: {what}") from error
    except RepositoryNotFoundError as error:
        raise HubError(
            f"{hub} has no model {what}, or it is private: set HF_TOKEN or run `hf auth login`"
        ) from error
    except RemoteEntryNotFoundError as error:
        raise HubError(f"{what}: expected a bundle of rszoo, got another model") from error
    except HfHubHTTPError as error:
        raise HubError(_refusal(error, what, writing=writing)) from error
    except JSONDecodeError as error:
        raise HubError(f"{hub} answered something else than JSON for {what}: no hub?") from error
    except (OSError, HTTPError) as error:
        raise HubError(_trouble(error, what, writing=writing)) from error


def _refusal(error: HfHubHTTPError, what: str, *, writing: bool) -> str:
    status = error.response.status_code if error.response is not None else 0
    if status in (401, 403):
        verb = "write" if writing else "read"
        return (
            f"{endpoint()} does not let you {verb} {what}: set HF_TOKEN to a token that may, or "
            "run `hf auth login`"
        )
    if status == 412:
        return f"{what}: somebody pushed at the same time; look at what is there, then push again"
    return f"{endpoint()} answered {status} for {what}: {_first_line(error)}"


def _trouble(error: Exception, what: str, *, writing: bool) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES):
        return f"cannot store {what} in {constants.HF_HUB_CACHE}: {error.strerror}"
    offline = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _first_line(error)
    unreachable = f"cannot reach {endpoint()} ({offline})"
    return unreachable if writing else f"{unreachable}, and {what} is not in the cache"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

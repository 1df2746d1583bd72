"""What went wrong between a hub and us, in words that say what to do."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError

from huggingface_hub import constants, get_token
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

# Of a write, whose error does not name the file.
_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG)


def endpoint() -> str:
    """Return the address of the hub in use: `HF_ENDPOINT`, or huggingface.co."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


@contextmanager
def explained(model: HubId | None, *, writing: bool = False) -> Iterator[None]:
    """Turn the exceptions of the client into errors that say what to do.

    Raises:
        HubError: always in place of them, and where the token can be no token.
    """
    hub, what = endpoint(), "its list of models" if model is None else str(model)
    try:
        _check_token()
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


def _check_token() -> None:
    """Refuse a token that no request can carry, such as one in the quotes of a word processor."""
    token = get_token() or ""
    if wrong := re.search(r"[^!#-&(-~]|^Bearer", token):  # quotes, spaces, all beyond ASCII
        raise HubError(
            f"expected a token such as hf_..., letters and digits, got one with {wrong[0]!r} in "
            "it: copy it again, without quotes and spaces, into HF_TOKEN or `hf auth login`"
        )


def _trouble(error: Exception, what: str, *, writing: bool) -> str:
    local = _local(error)
    if local is not None:
        place = local.filename or constants.HF_HUB_CACHE
        return f"cannot use {place} for {what}: {local.strerror}; HF_HOME names another folder"
    offline = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _first_line(error)
    unreachable = f"cannot reach {endpoint()} ({offline})"
    if re.match(r"https?://(127\.|localhost|\[::1\])", endpoint()):
        unreachable += ": does rszoo hub serve run?"
    return unreachable if writing else f"{unreachable}, and {what} is not in the cache"


def _local(error: BaseException | None) -> OSError | None:
    """Return the trouble with a file or a disk of ours that is behind an error, if it is that."""
    while error is not None:
        if isinstance(error, OSError) and (error.filename or error.errno in _OF_DISKS):
            return error
        error = error.__cause__
    return None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

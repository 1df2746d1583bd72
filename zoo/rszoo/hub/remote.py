"""Every call to a hub: the Hugging Face Hub, or one that speaks its protocol (`HF_ENDPOINT`).

The client retries most of its calls itself; what it does not is retried here. Its exceptions
become `HubError`s that say what to do.
"""

import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path
from typing import TypeVar

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, ModelInfo, constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from rszoo.errors import HubError
from rszoo.hub.ids import HubId

__all__ = ["Head", "commit", "create", "download", "endpoint", "head", "models", "tag"]

T = TypeVar("T")

# The root of the HTTP library in use, which depends on the client's version.
_HTTPError: type[Exception] = HfHubHTTPError.__mro__[1]

# Seconds before each new attempt at a call that the hub answered with "later", or with a fault.
_WAITS = (0.5, 1.0, 2.0, 4.0)
_LATER = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Head:
    """A revision of a model, as the hub knows it or, without one, as the cache does.

    Attributes:
        id: with the commit as its revision.
        files: names of all files; empty when the hub was not reached.
        reached: whether the hub answered.
    """

    id: HubId
    files: tuple[str, ...]
    reached: bool


def endpoint() -> str:
    """Return the address of the hub in use: `HF_ENDPOINT`, or huggingface.co."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def head(model: HubId) -> Head:
    """Find the commit that a revision stands for; without the hub, the newest that is cached.

    Raises:
        HubError: there is no such model or revision, it may not be read, or the hub cannot be
            reached and nothing is cached.
    """
    if model.is_commit and _cached(model) is not None:
        return Head(model, (), reached=False)
    with _explained(model):
        try:
            info = _patiently(lambda: _api().model_info(model.repo, revision=model.revision))
        except (OSError, _HTTPError) as error:
            cached = None if isinstance(error, HfHubHTTPError) else _cached(model)
            if cached is None:
                raise
            return Head(model.at(cached.name), (), reached=False)
    files = tuple(sorted(entry.rfilename for entry in info.siblings or ()))
    return Head(model.at(str(info.sha)), files, reached=True)


def download(model: HubId, names: Sequence[str], *, anew: bool = False) -> Path:
    """Bring files of a model into the cache; return the folder that shows its commit.

    Args:
        model: at any revision; the cache will know what it stood for.
        names: plain file names, all of which are there.
        anew: fetch them even if they are cached.

    Raises:
        HubError: a file is missing, cannot be fetched or cannot be stored.
    """
    with _explained(model):
        folder = _patiently(
            lambda: huggingface_hub.snapshot_download(
                model.repo,
                revision=model.revision,
                allow_patterns=list(names),
                force_download=anew,
                endpoint=endpoint(),
                library_name="rszoo",
            )
        )
    missing = [name for name in names if not (Path(folder) / name).is_file()]
    if missing:
        raise HubError(f"{model}: expected a bundle of rszoo, got a model without {missing[0]}")
    return Path(folder)


def create(model: HubId, *, private: bool) -> None:
    """Make sure that a model exists, so that something can be committed to it.

    Raises:
        HubError: it cannot be made.
    """
    with _explained(model, writing=True):
        _patiently(lambda: _api().create_repo(model.repo, private=private, exist_ok=True))


def commit(
    model: HubId, files: Mapping[str, bytes | Path], *, stale: Iterable[str], message: str
) -> str:
    """Put files into a model by one commit on top of its revision; return the new commit.

    Nothing is committed if nothing differs. Files that are large travel first and are not sent
    again by a second attempt.

    Args:
        model: its revision is the commit that the files are for.
        files: path in the repository -> content.
        stale: files to delete.
        message: of the commit.

    Raises:
        HubError: no permission; the model has changed meanwhile; the hub cannot be reached.
    """
    operations = [
        *(CommitOperationAdd(name, content) for name, content in files.items()),
        *(CommitOperationDelete(name) for name in stale),
    ]
    with _explained(model, writing=True), _without_xet():
        done = _patiently(
            lambda: _api().create_commit(
                model.repo, operations, commit_message=message, parent_commit=model.revision
            )
        )
    return str(done.oid)


def tag(model: HubId, name: str) -> None:
    """Give the commit of `model` a tag, unless it has it.

    Raises:
        HubError: another commit has it.
    """
    with _explained(model, writing=True):
        refs = _patiently(lambda: _api().list_repo_refs(model.repo))
        there = {ref.name: ref.target_commit for ref in refs.tags}
        if name in there and there[name] != model.revision:
            raise HubError(
                f"expected a new tag, got {name!r}, which {model.repo} has at {there[name]}"
            )
        if name not in there:
            _patiently(lambda: _api().create_tag(model.repo, tag=name, revision=model.revision))


def models(
    *, author: str | None = None, search: str | None = None, tags: Sequence[str] = ()
) -> list[ModelInfo]:
    """Return the models of rszoo on the hub, with the data of their cards.

    Raises:
        HubError: the hub cannot be reached.
    """
    with _explained(None):
        return list(
            _api().list_models(
                author=author, search=search, filter=["rszoo", *tags], full=True, cardData=True
            )
        )


def _api() -> HfApi:
    return HfApi(endpoint=endpoint(), library_name="rszoo")


def _cached(model: HubId) -> Path | None:
    """Return the folder of the cache that shows a revision, or None."""
    try:
        return Path(
            huggingface_hub.snapshot_download(
                model.repo,
                revision=model.revision,
                allow_patterns=[],
                local_files_only=True,
                endpoint=endpoint(),
            )
        )
    except LocalEntryNotFoundError:
        return None


def _patiently(call: Callable[[], T]) -> T:
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


@contextmanager
def _without_xet() -> Iterator[None]:
    """Upload by LFS: only huggingface.co speaks Xet, and the client asks any hub for it."""
    before = constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_DISABLE_XET = before or endpoint() != "https://huggingface.co"
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = before


@contextmanager
def _explained(model: HubId | None, *, writing: bool = False) -> Iterator[None]:
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
    except (OSError, _HTTPError) as error:
        raise HubError(_trouble(error, what)) from error


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


def _trouble(error: Exception, what: str) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES):
        return f"cannot store {what} in {constants.HF_HUB_CACHE}: {error.strerror}"
    offline = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _first_line(error)
    return f"cannot reach {endpoint()} ({offline}), and {what} is not in the cache"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

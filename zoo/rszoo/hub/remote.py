"""Every call to a hub: the Hugging Face Hub, or one that speaks its protocol (`HF_ENDPOINT`).

The client retries most of its calls itself; what it does not is retried here. Its exceptions
become `HubError`s that say what to do.
"""

import sys
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
    HfHubHTTPError,
    LocalEntryNotFoundError,
)
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    logging,
)

from rszoo.errors import HubError
from rszoo.hub._explained import HTTPError, endpoint, explained
from rszoo.hub.ids import HubId

__all__ = [
    "Head",
    "commit",
    "create",
    "download",
    "endpoint",
    "head",
    "models",
    "remember",
    "tag",
]

T = TypeVar("T")

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


def head(model: HubId) -> Head:
    """Find the commit that a revision stands for; without the hub, the newest that is cached.

    Raises:
        HubError: there is no such model or revision, it may not be read, or the hub cannot be
            reached and nothing is cached.
    """
    if model.is_commit and _cached(model) is not None:
        return Head(model, (), reached=False)
    with explained(model):
        try:
            info = _patiently(lambda: _api().model_info(model.repo, revision=model.revision))
        except (OSError, HTTPError) as error:
            cached = None if isinstance(error, HfHubHTTPError) else _cached(model)
            if cached is None:
                raise
            return Head(model.at(cached.name), (), reached=False)
    files = tuple(sorted(entry.rfilename for entry in info.siblings or ()))
    return Head(model.at(str(info.sha)), files, reached=True)


def download(model: HubId, names: Sequence[str], *, anew: bool = False) -> Path:
    """Bring files of a model into the cache; return the folder that shows its commit.

    Args:
        model: its revision is a commit.
        names: plain file names, all of which are there.
        anew: fetch them even if they are cached.

    Raises:
        HubError: a file is missing, cannot be fetched or cannot be stored.
    """
    with explained(model), _quiet():
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


def remember(model: HubId, name: str) -> None:
    """Have the cache know which commit a revision stands for, for when there is no hub.

    Args:
        model: at a branch or tag.
        name: a file of it, which is fetched if it is not cached.

    Raises:
        HubError: as `download`.
    """
    with explained(model), _quiet():
        _patiently(
            lambda: huggingface_hub.hf_hub_download(
                model.repo, name, revision=model.revision, endpoint=endpoint()
            )
        )


def create(model: HubId, *, private: bool) -> None:
    """Make sure that a model exists, so that something can be committed to it.

    Raises:
        HubError: it cannot be made.
    """
    with explained(model, writing=True):
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
    with explained(model, writing=True), _without_xet(), _quiet():
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
    with explained(model, writing=True):
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
    with explained(None), _quiet():
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
def _quiet() -> Iterator[None]:
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

"""Every call to a hub: the Hugging Face Hub, or one that speaks its protocol (`HF_ENDPOINT`).

Its exceptions become `HubError`s that say what to do.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, ModelInfo, SpaceInfo
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils.sha import git_hash

from rszoo.errors import HubError
from rszoo.hub._client import api, has_changed, patiently, quiet, without_xet
from rszoo.hub._explained import HTTPError, endpoint, explained
from rszoo.hub.ids import HubId

__all__ = [
    "Head",
    "RepoKind",
    "commit",
    "create",
    "download",
    "endpoint",
    "head",
    "holds",
    "models",
    "remember",
]

#: A repository is a model, or a Space, whose files are an app.
RepoKind = Literal["model", "space"]


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


def head(model: HubId, *, kind: RepoKind = "model") -> Head:
    """Find the commit that a revision stands for; without the hub, the newest that is cached.

    Args:
        model: perhaps with a revision.
        kind: of the repository; the cache holds models alone.

    Raises:
        HubError: there is no such model or revision, it may not be read, or the hub cannot be
            reached and nothing is cached.
    """
    if model.is_commit and _cached(model) is not None:
        return Head(model, (), reached=False)
    with explained(model):
        try:
            info = patiently(lambda: _info(model, kind))
        except (OSError, HTTPError) as error:
            known = kind == "model" and not isinstance(error, HfHubHTTPError)
            cached = _cached(model) if known else None
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
    with explained(model), quiet():
        folder = patiently(
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
    with explained(model), quiet():
        patiently(
            lambda: huggingface_hub.hf_hub_download(
                model.repo, name, revision=model.revision, endpoint=endpoint()
            )
        )


def create(model: HubId, *, private: bool, kind: RepoKind = "model") -> None:
    """Make sure that a repository exists, so that something can be committed to it.

    Args:
        model: which.
        private: if it is new.
        kind: of the repository; a Space is one for Gradio.

    Raises:
        HubError: it cannot be made.
    """
    with explained(model, writing=True):
        patiently(
            lambda: api().create_repo(
                model.repo,
                private=private,
                exist_ok=True,
                repo_type=kind,
                space_sdk="gradio" if kind == "space" else None,
            )
        )


def commit(
    model: HubId,
    files: Mapping[str, bytes | Path],
    *,
    stale: Collection[str],
    message: str,
    kind: RepoKind = "model",
) -> str:
    """Put files into a model by one commit on top of its revision; return the new commit.

    Nothing is committed if nothing differs. Files that are large travel first and are not sent
    again by a second attempt. A commit whose answer was lost on its way is found to be there.

    Args:
        model: its revision is the commit that the files are for.
        files: path in the repository -> content.
        stale: files to delete.
        message: of the commit.
        kind: of the repository.

    Raises:
        HubError: no permission; the model has changed meanwhile; the hub cannot be reached.
    """
    operations = [
        *(CommitOperationAdd(name, content) for name, content in files.items()),
        *(CommitOperationDelete(name) for name in stale),
    ]
    with explained(model, writing=True), without_xet(), quiet():
        try:
            done = patiently(
                lambda: api().create_commit(
                    model.repo,
                    operations,
                    commit_message=message,
                    parent_commit=model.revision,
                    repo_type=kind,
                )
            )
        except HfHubHTTPError as error:
            there = _head_with(model, files, stale, kind) if has_changed(error) else None
            if there is None:
                raise
            return there
    return str(done.oid)


def holds(model: HubId, files: Mapping[str, bytes | Path], *, kind: RepoKind = "model") -> bool:
    """Return whether a commit has these files, with this content.

    Raises:
        HubError: the hub cannot be reached.
    """
    with explained(model):
        info = patiently(lambda: _info(model, kind, sizes=True))
    there = {entry.rfilename: entry for entry in info.siblings or ()}
    return all(name in there and _is_same(content, there[name]) for name, content in files.items())


def models(
    *, author: str | None = None, search: str | None = None, tags: Sequence[str] = ()
) -> list[ModelInfo]:
    """Return the models of rszoo on the hub, with the data of their cards.

    Raises:
        HubError: the hub cannot be reached.
    """
    with explained(None), quiet():
        return list(
            api().list_models(
                author=author, search=search, filter=["rszoo", *tags], full=True, cardData=True
            )
        )


def _info(model: HubId, kind: RepoKind, *, sizes: bool = False) -> ModelInfo | SpaceInfo:
    """Return what the hub says of a repository at a revision; with `sizes`, of its files too."""
    ask = api().space_info if kind == "space" else api().model_info
    return ask(model.repo, revision=model.revision, files_metadata=sizes)


def _head_with(
    model: HubId, files: Mapping[str, bytes | Path], stale: Collection[str], kind: RepoKind
) -> str | None:
    """Return the newest commit if it has these files, and none that are stale."""
    newest = head(HubId.parse(model.repo), kind=kind)
    same = not set(stale) & set(newest.files) and holds(newest.id, files, kind=kind)
    return newest.id.revision if same else None


def _is_same(content: bytes | Path, entry: RepoSibling) -> bool:
    """Return whether a file of a hub, small or by LFS, has this content."""
    data = content.read_bytes() if isinstance(content, Path) else content
    if entry.lfs is not None:
        return hashlib.sha256(data).hexdigest() == entry.lfs.sha256
    return git_hash(data) == entry.blob_id


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

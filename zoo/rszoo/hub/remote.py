"""Every call to a hub: the Hugging Face Hub, or one that speaks its protocol (`HF_ENDPOINT`).

Its exceptions become `HubError`s that say what to do.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, ModelInfo
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils.sha import git_hash

from rszoo.errors import HubError
from rszoo.hub._client import api, patiently, quiet, without_xet
from rszoo.hub._explained import HTTPError, endpoint, explained
from rszoo.hub.ids import HubId

__all__ = [
    "Head",
    "check_tag",
    "commit",
    "create",
    "download",
    "endpoint",
    "head",
    "holds",
    "models",
    "remember",
    "tag",
]

_CHANGED = (409, 412)


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
            info = patiently(lambda: api().model_info(model.repo, revision=model.revision))
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


def create(model: HubId, *, private: bool) -> None:
    """Make sure that a model exists, so that something can be committed to it.

    Raises:
        HubError: it cannot be made.
    """
    with explained(model, writing=True):
        patiently(lambda: api().create_repo(model.repo, private=private, exist_ok=True))


def commit(
    model: HubId, files: Mapping[str, bytes | Path], *, stale: Collection[str], message: str
) -> str:
    """Put files into a model by one commit on top of its revision; return the new commit.

    Nothing is committed if nothing differs. Files that are large travel first and are not sent
    again by a second attempt. A commit whose answer was lost on its way is found to be there.

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
    with explained(model, writing=True), without_xet(), quiet():
        try:
            done = patiently(
                lambda: api().create_commit(
                    model.repo, operations, commit_message=message, parent_commit=model.revision
                )
            )
        except HfHubHTTPError as error:
            there = _head_with(model, files, stale) if _has_changed(error) else None
            if there is None:
                raise
            return there
    return str(done.oid)


def holds(model: HubId, files: Mapping[str, bytes | Path]) -> bool:
    """Return whether a commit has these files, with this content.

    Raises:
        HubError: the hub cannot be reached.
    """
    with explained(model):
        info = patiently(
            lambda: api().model_info(model.repo, revision=model.revision, files_metadata=True)
        )
    there = {entry.rfilename: entry for entry in info.siblings or ()}
    return all(name in there and _is_same(content, there[name]) for name, content in files.items())


def check_tag(head: HubId, name: str, *, changes: bool) -> None:
    """Refuse a tag that what is about to be committed could not have.

    Args:
        head: the commit before.
        name: of the tag.
        changes: whether there will be another commit; if not, `head` may have the tag.

    Raises:
        HubError: another commit has it, or it is a branch.
    """
    with explained(head, writing=True):
        _has_tag(head.repo, name, commit=None if changes else head.revision)


def tag(model: HubId, name: str) -> None:
    """Give the commit of `model` a tag, unless it has it.

    Raises:
        HubError: another commit has it, or it is a branch.
    """
    with explained(model, writing=True):
        if _has_tag(model.repo, name, commit=model.revision):
            return
        try:
            patiently(lambda: api().create_tag(model.repo, tag=name, revision=model.revision))
        except HfHubHTTPError as error:
            if not (_has_changed(error) and _has_tag(model.repo, name, commit=model.revision)):
                raise


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


def _has_changed(error: HfHubHTTPError) -> bool:
    """Return whether a hub refuses a write as something is there that was not before."""
    return error.response is not None and error.response.status_code in _CHANGED


def _head_with(
    model: HubId, files: Mapping[str, bytes | Path], stale: Collection[str]
) -> str | None:
    """Return the newest commit of a model if it has these files, and none that are stale."""
    newest = head(HubId.parse(model.repo))
    same = not set(stale) & set(newest.files) and holds(newest.id, files)
    return newest.id.revision if same else None


def _is_same(content: bytes | Path, entry: RepoSibling) -> bool:
    """Return whether a file of a hub, small or by LFS, has this content."""
    data = content.read_bytes() if isinstance(content, Path) else content
    if entry.lfs is not None:
        return hashlib.sha256(data).hexdigest() == entry.lfs.sha256
    return git_hash(data) == entry.blob_id


def _has_tag(repo: str, name: str, *, commit: str | None) -> bool:
    """Return whether there is a tag, which only `commit` may have."""
    refs = patiently(lambda: api().list_repo_refs(repo))
    if name in [branch.name for branch in refs.branches]:
        raise HubError(f"expected a new tag, got {name!r}, which is a branch of {repo}")
    there = {ref.name: ref.target_commit for ref in refs.tags}
    if there.get(name, commit) != commit:
        raise HubError(f"expected a new tag, got {name!r}, which {repo} has at {there[name]}")
    return name in there


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

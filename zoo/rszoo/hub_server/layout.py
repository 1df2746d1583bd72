"""How repositories lie in the folder of a hub, and how those of the first layout did.

`repos/<kind>/<namespace>/<name>.json` holds a repository's names and settings, and
`commits/<folder>/` its commits: each in a file of its own, those that were converted in one.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from rszoo.errors import RszooError
from rszoo.hub_server.history import Commit, File, History
from rszoo.hub_server.repo import Repo

__all__ = ["commits_to_json", "read_repo"]


class _WholeCommit(BaseModel):
    """A commit of the first layout, with its whole tree."""

    model_config = ConfigDict(extra="forbid")

    parent: str | None
    tree: dict[str, File]
    title: str
    message: str
    date: str


_COMMITS = TypeAdapter(dict[str, Commit])
_WHOLE_COMMITS = TypeAdapter(dict[str, _WholeCommit])


def read_repo(path: Path, commits: Path) -> tuple[Repo, bool]:
    """Return a repository, and whether it is of the first layout.

    Args:
        path: its file.
        commits: the folder of the commits of all.

    Raises:
        RszooError: a file is not what it should be.
    """
    content = _object(path)
    is_old = content.get("format") == 1
    try:
        if is_old:
            whole = _WHOLE_COMMITS.validate_python(content.pop("commits", None))
            history = History({oid: _short(commit, whole) for oid, commit in whole.items()})
            # Its commits get a folder when they are written; no one before may be theirs.
            content |= {"format": 2, "folder": Repo.new_folder()}
        else:
            history = History(_read_commits(commits / str(content.get("folder"))))
        repo = Repo.model_validate(content | {"history": history})
    except (ValidationError, KeyError) as error:
        raise _not_one(path, "a repository", error) from error
    _check_complete(path, repo)
    return repo, is_old


def commits_to_json(commits: Mapping[str, Commit]) -> bytes:
    """Return the content of a file with some commits."""
    return _COMMITS.dump_json(dict(commits))


def _read_commits(folder: Path) -> dict[str, Commit]:
    commits: dict[str, Commit] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            commits |= _COMMITS.validate_json(path.read_bytes())
        except ValidationError as error:
            raise _not_one(path, "commits", error) from error
    return commits


def _short(commit: _WholeCommit, whole: Mapping[str, _WholeCommit]) -> Commit:
    before = {} if commit.parent is None else whole[commit.parent].tree
    gone: dict[str, File | None] = {path: None for path in before if path not in commit.tree}
    new = {path: file for path, file in commit.tree.items() if before.get(path) != file}
    return Commit(
        parent=commit.parent,
        changes=gone | new,
        title=commit.title,
        message=commit.message,
        date=commit.date,
    )


def _check_complete(path: Path, repo: Repo) -> None:
    """Refuse a repository of which a commit is missing."""
    wanted = [*repo.branches.values(), *repo.tags.values()]
    wanted += [commit.parent for commit in repo.history.all().values() if commit.parent]
    for oid in wanted:
        if oid not in repo.history:
            raise RszooError(
                f"{path}: expected the commit {oid} in commits/{repo.folder}, got none; restore "
                "its file, or move the repository away"
            )


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise _not_one(path, "a repository", error) from error
    if not isinstance(content, dict):
        raise _not_one(path, "a repository", TypeError(type(content).__name__))
    return content


def _not_one(path: Path, what: str, error: Exception) -> RszooError:
    got = str(error)
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        got = f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
    return RszooError(
        f"{path}: expected {what} of this hub, got {got}; restore the file, or move it away"
    )

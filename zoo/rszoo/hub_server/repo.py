"""A repository as data, and every change of one as a function from old to new.

A commit holds its whole tree; commits, branches and tags are all there is of git.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Literal

from pydantic import BaseModel, ConfigDict

from rszoo.hub_server.errors import HubError
from rszoo.hub_server.names import check_ref, is_commit

__all__ = ["MAIN", "Commit", "File", "Kind", "Repo"]

MAIN = "main"

Kind = Literal["models", "datasets"]


class File(BaseModel):
    """A file in a tree.

    Attributes:
        sha256: of its body, which `Blobs` has.
        oid: id of the git blob that it would be: of the body, or of the pointer for LFS.
        lfs: whether clients are to treat it as large.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    size: int
    oid: str
    lfs: bool

    @classmethod
    def regular(cls, body: bytes, sha256: str) -> "File":
        """Return the file with a small body."""
        return cls(sha256=sha256, size=len(body), oid=_git_blob(body), lfs=False)

    @classmethod
    def large(cls, sha256: str, size: int) -> "File":
        """Return the file with a body that came by LFS."""
        return cls(sha256=sha256, size=size, oid=_git_blob(_pointer(sha256, size)), lfs=True)

    @property
    def etag(self) -> str:
        """What `huggingface_hub` compares before it downloads or uploads."""
        return self.sha256 if self.lfs else self.oid

    @property
    def pointer_size(self) -> int:
        """Bytes of the LFS pointer."""
        return len(_pointer(self.sha256, self.size))


class Commit(BaseModel):
    """A state of a repository.

    Attributes:
        parent: the commit before; None for the first one.
        tree: path -> file.
        title, message: first line and the rest.
        date: as the Hub writes it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parent: str | None
    tree: dict[str, File]
    title: str
    message: str
    date: str

    @property
    def oid(self) -> str:
        """An id as git's, though not one of git's."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha1(text.encode()).hexdigest()


class Repo(BaseModel):
    """A repository.

    Attributes:
        format: version of this layout.
        id: namespace and name.
        private: hidden from who has no token.
        gated: files only for who has a token; the rest is open.
        created: when, as the Hub writes it.
        commits, branches, tags: id -> commit, name -> id.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    kind: Kind
    id: str
    private: bool
    gated: Literal["auto", "manual", False] = False
    created: str
    commits: dict[str, Commit]
    branches: dict[str, str]
    tags: dict[str, str] = {}

    @classmethod
    def new(cls, kind: Kind, repo_id: str, *, private: bool) -> "Repo":
        """Return a repository with one empty commit."""
        first = Commit(parent=None, tree={}, title="initial commit", message="", date=_now())
        return cls(
            kind=kind,
            id=repo_id,
            private=private,
            created=first.date,
            commits={first.oid: first},
            branches={MAIN: first.oid},
        )

    @property
    def head(self) -> str:
        """The newest commit of the main branch."""
        return self.branches[MAIN]

    def find(self, revision: str) -> str:
        """Return the id of the commit that a branch, a tag or an id names.

        Raises:
            HubError: RevisionNotFound.
        """
        for names in (self.branches, self.tags):
            if revision in names:
                return names[revision]
        if is_commit(revision) and revision in self.commits:
            return revision
        raise _revision_not_found(revision)

    def log(self, revision: str) -> Iterator[tuple[str, Commit]]:
        """Yield a commit and those before it, newest first."""
        oid: str | None = self.find(revision)
        while oid is not None:
            commit = self.commits[oid]
            yield oid, commit
            oid = commit.parent

    def committed(
        self, branch: str, tree: Mapping[str, File], *, title: str, message: str
    ) -> tuple["Repo", str]:
        """Return the repository with one commit more on a branch, and its id."""
        commit = Commit(
            parent=self.head_of(branch),
            tree=dict(sorted(tree.items())),
            title=title,
            message=message,
            date=_now(),
        )
        oid = commit.oid
        update = {
            "commits": self.commits | {oid: commit},
            "branches": self.branches | {branch: oid},
        }
        return self.model_copy(update=update), oid

    def head_of(self, branch: str) -> str:
        """Return the newest commit of a branch.

        Raises:
            HubError: RevisionNotFound, also for a tag or a commit.
        """
        if branch not in self.branches:
            raise _revision_not_found(branch)
        return self.branches[branch]

    def with_branch(self, name: str, revision: str) -> "Repo":
        """Return the repository with a branch more."""
        self._check_new(name)
        return self.model_copy(update={"branches": self.branches | {name: self.find(revision)}})

    def with_tag(self, name: str, revision: str) -> "Repo":
        """Return the repository with a tag more."""
        self._check_new(name)
        return self.model_copy(update={"tags": self.tags | {name: self.find(revision)}})

    def without_branch(self, name: str) -> "Repo":
        """Return the repository without a branch; its commits stay."""
        self.head_of(name)
        if name == MAIN:
            raise HubError(403, "the main branch cannot be deleted")
        kept = {branch: oid for branch, oid in self.branches.items() if branch != name}
        return self.model_copy(update={"branches": kept})

    def without_tag(self, name: str) -> "Repo":
        """Return the repository without a tag."""
        if name not in self.tags:
            raise _revision_not_found(name)
        kept = {tag: oid for tag, oid in self.tags.items() if tag != name}
        return self.model_copy(update={"tags": kept})

    def _check_new(self, name: str) -> None:
        check_ref(name)
        if name in self.branches or name in self.tags:
            raise HubError(409, f"{name!r} exists already")


def _now() -> str:
    """Return the time as the Hub writes it."""
    time = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return time.replace("+00:00", "Z")


def _revision_not_found(revision: str) -> HubError:
    return HubError(404, f"no revision {revision!r} here", code="RevisionNotFound")


def _git_blob(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


def _pointer(sha256: str, size: int) -> bytes:
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    return text.encode()

"""A repository as data, and every change of one as a function from old to new.

Commits, branches and tags are all there is of git.
"""

import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from rszoo.hub_server.errors import HubError
from rszoo.hub_server.history import Commit, File, History, Tree
from rszoo.hub_server.names import check_ref, folded, is_commit

__all__ = ["MAIN", "Kind", "Repo"]

MAIN = "main"

Kind = Literal["models", "datasets", "spaces"]


class Repo(BaseModel):
    """A repository.

    Attributes:
        format: version of this layout; in the first one `commits` held every commit's whole tree.
        id: namespace and name.
        private: hidden from who has no token.
        gated: files only for who has a token; the rest is open.
        created: when, as the Hub writes it.
        folder: where its commits are; a repository that takes the name later has another one.
        branches, tags: name -> id of a commit.
        history: its commits.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    format: Literal[2] = 2
    kind: Kind
    id: str
    private: bool
    gated: Literal["auto", "manual", False] = False
    created: str
    folder: str
    branches: dict[str, str]
    tags: dict[str, str] = {}
    history: History = Field(exclude=True)

    @classmethod
    def new(
        cls, kind: Kind, repo_id: str, *, private: bool, changes: Mapping[str, File | None]
    ) -> "Repo":
        """Return a repository with one commit."""
        first = Commit(
            parent=None, changes=dict(changes), title="initial commit", message="", date=_now()
        )
        return cls(
            kind=kind,
            id=repo_id,
            private=private,
            created=first.date,
            folder=cls.new_folder(),
            branches={MAIN: first.oid},
            history=History({first.oid: first}),
        )

    @staticmethod
    def new_folder() -> str:
        """Return the name of a folder for commits that none ever had."""
        return secrets.token_hex(16)

    @property
    def head(self) -> str:
        """The newest commit of the main branch."""
        return self.branches[MAIN]

    @property
    def modified(self) -> str:
        """When the newest commit of the main branch was made."""
        return self.history[self.head].date

    def find(self, revision: str) -> str:
        """Return the id of the commit that a branch, a tag or an id names.

        Raises:
            HubError: RevisionNotFound.
        """
        for names in (self.branches, self.tags):
            if revision in names:
                return names[revision]
        if is_commit(revision) and revision in self.history:
            return revision
        raise _revision_not_found(revision)

    def log(self, revision: str) -> Iterator[tuple[str, Commit]]:
        """Yield a commit and those before it, newest first."""
        oid: str | None = self.find(revision)
        while oid is not None:
            commit = self.history[oid]
            yield oid, commit
            oid = commit.parent

    def tree(self, oid: str) -> Tree:
        """Return the files of a commit."""
        return self.history.tree(oid)

    def committed(self, branch: str, commit: Commit) -> "Repo":
        """Return the repository with a commit, which its history has, at the end of a branch."""
        return self.model_copy(update={"branches": self.branches | {branch: commit.oid}})

    def commit_of(
        self, branch: str, changes: Mapping[str, File | None], *, title: str, message: str
    ) -> Commit:
        """Return the commit that goes to the end of a branch."""
        return Commit(
            parent=self.head_of(branch),
            changes=dict(changes),
            title=title,
            message=message,
            date=_now(),
        )

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
        for other in (*self.branches, *self.tags):
            one, two = f"{folded(name)}/", f"{folded(other)}/"
            if one.startswith(two) or two.startswith(one):  # clients make files of them
                raise HubError(
                    400, f"expected another name than {name!r} where there is {other!r}"
                )


def _now() -> str:
    """Return the time as the Hub writes it."""
    time = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return time.replace("+00:00", "Z")


def _revision_not_found(revision: str) -> HubError:
    return HubError(404, f"no revision {revision!r} here", code="RevisionNotFound")

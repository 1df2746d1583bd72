"""Commits: each holds what it changes, and their history what the files of each are.

Trees are made when they are asked for. To keep the whole tree of every commit costs the square of
their number.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ConfigDict

__all__ = ["Commit", "File", "History", "Tree"]

_MOST_TREES = 8  # at hand; the newest of a repository, and those that are being downloaded


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


Tree = Mapping[str, File]


class Commit(BaseModel):
    """A state of a repository.

    Attributes:
        parent: the commit before; None for the first one.
        changes: path -> the file there from now on, or None where there is none any more.
        title, message: first line and the rest.
        date: as the Hub writes it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    parent: str | None
    changes: dict[str, File | None]
    title: str
    message: str
    date: str

    @property
    def oid(self) -> str:
        """An id as git's, though not one of git's."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha1(text.encode()).hexdigest()


class History:
    """The commits of a repository, of which there can only be more."""

    def __init__(self, commits: Mapping[str, Commit]) -> None:
        self._commits = dict(commits)
        self._trees: dict[str, Tree] = {}  # those asked for last are at the end
        self._lock = threading.Lock()

    def __contains__(self, oid: str) -> bool:
        return oid in self._commits

    def __getitem__(self, oid: str) -> Commit:
        return self._commits[oid]

    def add(self, oid: str, commit: Commit) -> None:
        """Add a commit whose parent is here."""
        self._commits[oid] = commit

    def all(self) -> dict[str, Commit]:
        """Return all commits by their ids."""
        return dict(self._commits)

    def files(self) -> Iterator[File]:
        """Yield every file that a commit has, some of them more than once."""
        for commit in self.all().values():
            yield from filter(None, commit.changes.values())

    def tree(self, oid: str) -> Tree:
        """Return the files of a commit, in the order of their paths."""
        with self._lock:
            tree = self._trees.pop(oid, None)
            if tree is None:
                tree = self._made(oid)
            self._trees[oid] = tree
            if len(self._trees) > _MOST_TREES:
                del self._trees[next(iter(self._trees))]
            return tree

    def _made(self, oid: str) -> Tree:
        chain: list[Commit] = []
        before: str | None = oid
        while before is not None and before not in self._trees:
            chain.append(self._commits[before])
            before = chain[-1].parent
        tree = dict(self._trees[before]) if before is not None else {}
        for commit in reversed(chain):
            for path, file in commit.changes.items():
                if file is None:
                    tree.pop(path, None)
                else:
                    tree[path] = file
        return dict(sorted(tree.items()))


def _git_blob(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


def _pointer(sha256: str, size: int) -> bytes:
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
    return text.encode()

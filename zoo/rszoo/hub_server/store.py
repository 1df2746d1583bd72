"""The folder of a hub: `repos/` and `commits/` (see layout.py), and `blobs/<sha256>`.

Repositories are small (hashes and names) and are all kept in memory; every change is written to
the disk before it is visible. One process owns the folder.
"""

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rszoo._files import sync
from rszoo._locks import exclusive
from rszoo.errors import RszooError
from rszoo.hub_server.attributes import ATTRIBUTES
from rszoo.hub_server.blobs import Blobs
from rszoo.hub_server.changes import Change, changed
from rszoo.hub_server.conversion import convert, finish
from rszoo.hub_server.errors import HubError, repo_not_found
from rszoo.hub_server.files import place
from rszoo.hub_server.history import Commit, File
from rszoo.hub_server.layout import commits_to_json, read_repo
from rszoo.hub_server.names import check_repo_id
from rszoo.hub_server.repo import Kind, Repo

__all__ = ["Store", "open_store"]


class Store:
    """The repositories of a hub."""

    def __init__(self, root: Path) -> None:
        self.blobs = Blobs(root / "blobs", root / "uploads")
        self._root = root
        self._folder, self._commits = root / "repos", root / "commits"
        self._lock = threading.Lock()  # one change at a time; readers see the old or the new
        self.blobs.prepare()
        repos: dict[tuple[Kind, str], Repo] = {}
        self._old: set[str] = set()  # ids of repositories that are still in the first layout
        for path in self._folder.glob("*/*/.*.tmp"):  # by earlier versions, when killed
            path.unlink()
        finish(root, write=self._write)
        for path in sorted(self._folder.glob("*/*/[!.]*.json")):
            repo, is_old = read_repo(path, self._commits)
            repos[repo.kind, repo.id] = repo
            if is_old:
                self._old.add(repo.folder)
        self._repos: Mapping[tuple[Kind, str], Repo] = repos

    def all(self, kind: Kind) -> list[Repo]:
        """Return the repositories of a kind, newest first."""
        repos = [repo for repo in self._repos.values() if repo.kind == kind]
        return sorted(repos, key=lambda repo: (repo.modified, repo.id), reverse=True)

    def get(self, kind: Kind, repo_id: str) -> Repo:
        """Return a repository.

        Raises:
            HubError: RepoNotFound.
        """
        repo = self._repos.get((kind, repo_id))
        if repo is None:
            raise repo_not_found(repo_id)
        return repo

    def create(self, kind: Kind, repo_id: str, *, private: bool) -> Repo:
        """Make a repository.

        Raises:
            HubError: 409, there is one of that name, or of one that differs in case only.
        """
        check_repo_id(repo_id)
        with self._lock:
            for repo in self.all(kind):
                if repo.id.lower() == repo_id.lower():
                    raise HubError(409, f"{repo.id!r} exists already")
            attributes = File.regular(ATTRIBUTES, self.blobs.put(ATTRIBUTES))
            changes = {".gitattributes": attributes}
            repo = Repo.new(kind, repo_id, private=private, changes=changes)
            return self._put(repo, repo.history.all())

    def delete(self, kind: Kind, repo_id: str) -> None:
        """Forget a repository; the bodies of its files stay, other repositories may have them."""
        with self._lock:
            self._convert()
            gone = self.get(kind, repo_id)
            self._path(gone).unlink()
            sync(self._path(gone).parent)
            self._repos = {key: repo for key, repo in self._repos.items() if repo is not gone}
            shutil.rmtree(self._commits / gone.folder, ignore_errors=True)

    def change(self, kind: Kind, repo_id: str, change: Callable[[Repo], Repo]) -> Repo:
        """Replace a repository by what `change` makes of it."""
        with self._lock:
            return self._put(change(self.get(kind, repo_id)))

    def commit(
        self,
        kind: Kind,
        repo_id: str,
        branch: str,
        changes: list[Change],
        *,
        title: str,
        message: str = "",
        parent: str | None = None,
    ) -> str:
        """Add a commit to a branch and return its id.

        Args:
            parent: refuse (412) unless this is the newest commit of the branch.
        """
        with self._lock:
            repo = self.get(kind, repo_id)
            head = repo.head_of(branch)
            if parent is not None and parent != head:
                raise HubError(
                    412,
                    f"expected the newest commit {head} as parent, got {parent}; read it again",
                )
            new = changed(changes, repo.tree(head))
            commit = repo.commit_of(branch, new, title=title, message=message)
            self._put(repo.committed(branch, commit), {commit.oid: commit})
        return commit.oid

    def remove_unused(self) -> tuple[int, int]:
        """Remove what no repository has, and return how many files and how many bytes it was."""
        with self._lock:
            repos = self._repos.values()
            used = {repo.folder for repo in repos}
            for folder in self._commits.glob("*/"):
                if folder.name not in used:
                    shutil.rmtree(folder)
            wanted = {file.sha256 for repo in repos for file in repo.history.files()}
            return self.blobs.remove_all_but(wanted)

    def _put(self, repo: Repo, commits: Mapping[str, Commit] | None = None) -> Repo:
        """Write a repository, with the commits that are new in it.

        Its file is written last, and is what counts.
        """
        self._convert()
        if commits := commits or {}:
            name = f"{next(iter(commits))}.json"
            self._write(self._commits / repo.folder / name, commits_to_json(commits))
        self._write(self._path(repo), repo.model_dump_json().encode())
        for oid, commit in commits.items():
            repo.history.add(oid, commit)
        self._repos = {**self._repos, (repo.kind, repo.id): repo}
        return repo

    def _convert(self) -> None:
        """Leave the first layout, before anything is written: with all repositories, or none."""
        if self._old:
            old = [repo for repo in self._repos.values() if repo.folder in self._old]
            paths = {str(self._path(repo).relative_to(self._root)): repo for repo in old}
            convert(self._root, paths, write=self._write)
            self._old.clear()

    def _write(self, path: Path, content: bytes) -> None:
        place(path, content, folder=self.blobs.uploads)

    def _path(self, repo: Repo) -> Path:
        return self._folder / repo.kind / f"{repo.id}.json"


@contextmanager
def open_store(root: Path) -> Iterator[Store]:
    """Give the store in a folder, which is made if need be and is this process's meanwhile.

    Raises:
        RszooError: another process has it, or it cannot be read or written.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(root / ".lock", patience=0))
        except TimeoutError:
            raise RszooError(
                f"{str(root)!r} is served by another process; stop it, or choose another --root"
            ) from None
        except OSError as error:
            raise RszooError(f"cannot use {str(root)!r}: {error.strerror}") from error
        yield Store(root)

"""The folder of a hub: `repos/<kind>/<namespace>/<name>.json`, and `blobs/<sha256>`.

Repositories are small (hashes and names) and are all kept in memory; every change is written to
the disk before it is visible. One process owns the folder.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import ValidationError

from rszoo._files import write_bytes_atomically
from rszoo._locks import exclusive
from rszoo.errors import RszooError
from rszoo.hub_server.blobs import Blobs
from rszoo.hub_server.changes import Change, apply
from rszoo.hub_server.errors import HubError, repo_not_found
from rszoo.hub_server.names import check_repo_id
from rszoo.hub_server.repo import Kind, Repo

__all__ = ["Store", "open_store"]


class Store:
    """The repositories of a hub."""

    def __init__(self, root: Path) -> None:
        self.blobs = Blobs(root / "blobs", root / "uploads")
        self._folder = root / "repos"
        self._lock = threading.Lock()  # one change at a time; readers see the old or the new
        self.blobs.prepare()
        self._repos = {(repo.kind, repo.id): repo for repo in _read_all(self._folder)}

    def all(self, kind: Kind) -> list[Repo]:
        """Return the repositories of a kind, newest first."""
        repos = [repo for repo in self._repos.values() if repo.kind == kind]
        return sorted(
            repos, key=lambda repo: (repo.commits[repo.head].date, repo.id), reverse=True
        )

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
            return self._put(Repo.new(kind, repo_id, private=private))

    def delete(self, kind: Kind, repo_id: str) -> None:
        """Forget a repository; the bodies of its files stay, other repositories may have them."""
        with self._lock:
            gone = self.get(kind, repo_id)
            self._path(gone).unlink()
            self._repos = {key: repo for key, repo in self._repos.items() if repo is not gone}

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
            tree = apply(changes, repo.commits[head].tree)
            repo, oid = repo.committed(branch, tree, title=title, message=message)
            self._put(repo)
        return oid

    def _put(self, repo: Repo) -> Repo:
        path = self._path(repo)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomically(path, repo.model_dump_json().encode())
        self._repos = self._repos | {(repo.kind, repo.id): repo}
        return repo

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


def _read_all(folder: Path) -> Iterator[Repo]:
    for path in sorted(folder.glob("*/*/*.json")):
        try:
            yield Repo.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"])) or "the file"
            raise RszooError(
                f"{path}: expected a repository of this hub, got {key}: {first['msg']}; restore "
                "the file, or move it away"
            ) from error

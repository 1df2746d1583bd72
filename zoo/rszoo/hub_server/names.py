"""Which names and paths are accepted.

Nothing of the server's own depends on these rules, since files are stored by their digest; they
protect the clients, which make folders of names and paths.
"""

import re

from rszoo.hub_server.errors import HubError

__all__ = ["check_path", "check_ref", "check_repo_id", "is_commit", "is_sha256"]

_LONGEST_PATH = 1000
_LONGEST_NAME = 255  # bytes, of most file systems
_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_REF = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._/-]{0,248}[A-Za-z0-9_-])?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RESERVED = {"api", "datasets", "kernels", "lfs", "models", "spaces"}


def check_repo_id(repo_id: str) -> str:
    """Return the id of a repository, `namespace/name`.

    Raises:
        HubError: it is not one.
    """
    namespace, _, name = repo_id.partition("/")
    good = (
        _PART.fullmatch(namespace)
        and _PART.fullmatch(name)
        and namespace not in _RESERVED
        and len(repo_id) <= 96
        and "--" not in repo_id
        and ".." not in repo_id
        and not name.endswith(".git")
    )
    if not good:
        raise HubError(
            400,
            f"expected namespace/name of letters, digits, '-', '_' and '.', at most 96, got "
            f"{repo_id!r}",
        )
    return repo_id


def check_ref(name: object) -> str:
    """Return the name of a branch or tag.

    Raises:
        HubError: it is not one, or could be taken for a commit.
    """
    bad = not isinstance(name, str) or not _REF.fullmatch(name) or _COMMIT.fullmatch(name)
    if bad or ".." in str(name) or "//" in str(name):
        raise HubError(
            400,
            f"expected a branch or tag of letters, digits, '-', '_', '.' and '/', got {name!r}",
        )
    return str(name)


def check_path(path: object) -> str:
    """Return the path of a file or folder in a repository.

    Raises:
        HubError: it is absolute, leaves the repository, or is no path on some system.
    """
    if not isinstance(path, str) or not 0 < len(path) <= _LONGEST_PATH:
        raise HubError(400, f"expected a path of 1 to {_LONGEST_PATH} characters, got {path!r}")
    for part in path.split("/"):
        if part in ("", ".", "..") or part.lower() == ".git":
            raise HubError(400, f"expected a path inside the repository, got {path!r}")
        if "\\" in part or not part.isprintable():
            raise HubError(400, f"expected a path without {chr(92)!r} and controls, got {path!r}")
        if len(part.encode("utf-8")) > _LONGEST_NAME:
            raise HubError(400, f"expected file names of at most 255 bytes, got {path!r}")
    return path


def is_commit(name: str) -> bool:
    """Return whether a revision is the id of a commit."""
    return _COMMIT.fullmatch(name) is not None


def is_sha256(value: object) -> bool:
    """Return whether a value is a sha256 in hex."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None

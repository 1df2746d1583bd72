"""Which names and paths are accepted.

Nothing of the server's own depends on these rules, since files are stored by their digest; they
protect the clients, which make folders of names and paths.
"""

import re
import unicodedata

from rszoo.hub_server.errors import HubError

__all__ = [
    "check_new_path",
    "check_path",
    "check_ref",
    "check_repo_id",
    "folded",
    "is_commit",
    "is_sha256",
]

_LONGEST_PATH = 1000
_LONGEST_NAME = 255  # bytes, of most file systems
_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_REF = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._/-]{0,248}[A-Za-z0-9_-])?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NOWHERE = frozenset('<>:"|?*')  # in no name on Windows
_DEVICES = {"con", "prn", "aux", "nul"}  # there, whatever follows after a dot
_DEVICES |= {f"{one}{number}" for one in ("com", "lpt") for number in range(10)}
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
        and not any(map(_is_device, (namespace, name)))
    )
    if not good:
        raise HubError(
            400,
            f"expected namespace/name of letters, digits, '-', '_' and '.', at most 96 and no "
            f"name of a device, got {repo_id!r}",
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
    return check_new_path(name)


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


def check_new_path(path: object) -> str:
    """Return a path that every system can have, for what is not there yet.

    Raises:
        HubError: it is none, or is no name, or that of something else, on some system.
    """
    path = check_path(path)
    for part in path.split("/"):
        if part.endswith((".", " ")) or part.startswith(" ") or not _NOWHERE.isdisjoint(part):
            raise HubError(
                400,
                f"expected names without {' '.join(sorted(_NOWHERE))}, and without a dot or space "
                f"at their end, which are none on Windows, got {path!r}",
            )
        if _is_device(part):
            raise HubError(
                400, f"expected another name than {part!r}, a device on Windows, in {path!r}"
            )
    return path


def folded(path: str) -> str:
    """Return what is the same for paths that some systems do not tell apart."""
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path).casefold()


def _is_device(name: str) -> bool:
    return name.partition(".")[0].rstrip().lower() in _DEVICES


def is_commit(name: str) -> bool:
    """Return whether a revision is the id of a commit."""
    return _COMMIT.fullmatch(name) is not None


def is_sha256(value: object) -> bool:
    """Return whether a value is a sha256 in hex."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None

"""What a commit does to a tree: `file`, `lfsFile`, `deletedFile`, `deletedFolder`."""

from collections.abc import Mapping
from dataclasses import dataclass

from rszoo.hub_server.errors import HubError
from rszoo.hub_server.names import check_path
from rszoo.hub_server.repo import File

__all__ = ["Change", "apply"]


@dataclass(frozen=True)
class Change:
    """One line of a commit.

    Attributes:
        path: of a file or, for a removal only, perhaps a folder.
        file: what is there from now on; None removes what is there.
        folder: remove all that is below the path.
    """

    path: str
    file: File | None = None
    folder: bool = False


def apply(changes: list[Change], tree: Mapping[str, File]) -> dict[str, File]:
    """Return the tree after the changes, which happen all or not at all.

    Raises:
        HubError: there is nothing to remove, or a path is both a file and a folder.
    """
    new = dict(tree)
    for change in changes:
        check_path(change.path)
        if change.file is not None:
            new[change.path] = change.file
        else:
            _remove(new, change)
    for path in new:
        parts = path.split("/")
        for length in range(1, len(parts)):
            if (above := "/".join(parts[:length])) in new:
                raise HubError(400, f"expected a file or a folder at {above!r}, got both")
    return new


def _remove(tree: dict[str, File], change: Change) -> None:
    if change.folder:
        below = change.path + "/"
        gone = [path for path in tree if path.startswith(below)]
    else:
        gone = [change.path] if change.path in tree else []
    if not gone:
        raise HubError(404, f"expected {change.path!r} to remove, got none", code="EntryNotFound")
    for path in gone:
        del tree[path]

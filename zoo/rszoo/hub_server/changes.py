"""What a commit does to a tree: `file`, `lfsFile`, `deletedFile`, `deletedFolder`."""

from dataclasses import dataclass

from rszoo.hub_server.errors import HubError
from rszoo.hub_server.history import File, Tree
from rszoo.hub_server.names import check_path

__all__ = ["Change", "changed"]


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


def changed(changes: list[Change], tree: Tree) -> dict[str, File | None]:
    """Return what is another one after the changes, which happen all or not at all.

    Returns:
        path -> the file there from now on, or None where there is none any more.

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
    gone: dict[str, File | None] = {path: None for path in tree if path not in new}
    return gone | {path: file for path, file in new.items() if tree.get(path) != file}


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

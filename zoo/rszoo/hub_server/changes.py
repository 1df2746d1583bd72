"""What a commit does to a tree: `file`, `lfsFile`, `deletedFile`, `deletedFolder`."""

from dataclasses import dataclass

from rszoo.hub_server.errors import HubError
from rszoo.hub_server.history import File, Tree
from rszoo.hub_server.names import check_new_path, folded

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
        HubError: there is nothing to remove, or a new path is none on some system, or is there
            already as something else, or in other letters.
    """
    new = dict(tree)
    for change in changes:
        if change.file is None:
            _remove(new, change)
        else:
            if change.path not in tree:
                check_new_path(change.path)
            new[change.path] = change.file
    _check_places(new, tree)
    gone: dict[str, File | None] = {path: None for path in tree if path not in new}
    return gone | {path: file for path, file in new.items() if tree.get(path) != file}


def _check_places(new: Tree, tree: Tree) -> None:
    """Refuse new files at places that are taken, on some system at least.

    What is there already stays, since older versions did not look.
    """
    if all(path in tree for path in new):
        return
    taken: dict[str, tuple[str, bool]] = {}  # as it is written, and whether it is a file
    for path in sorted(new, key=lambda path: path not in tree):
        ends = [at for at, letter in enumerate(path) if letter == "/"]
        for place in (*((path[:end], False) for end in ends), (path, True)):
            there = taken.setdefault(folded(place[0]), place)
            if there == place or path in tree:
                continue
            if there[0] == place[0]:
                raise HubError(400, f"expected a file or a folder at {place[0]!r}, got both")
            raise HubError(
                400,
                f"expected names that differ in more than upper and lower case, got {there[0]!r} "
                f"and {place[0]!r}",
            )


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

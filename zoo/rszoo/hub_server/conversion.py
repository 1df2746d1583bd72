"""A root of the first layout becomes one of today: all of its repositories, or none.

Their commits are written first, into folders that nothing names yet. Then one file, the journal,
says what the files of all repositories are to be. From then on they count as converted, and what
is not written when the hub is killed, is at its next start.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from rszoo._files import sync
from rszoo.errors import RszooError
from rszoo.hub_server.layout import commits_to_json
from rszoo.hub_server.repo import Repo

__all__ = ["convert", "finish"]

_JOURNAL = "converting.json"

Write = Callable[[Path, bytes], None]
"""Writes a file as a whole."""


class _Entry(BaseModel):
    """An entry of the journal: the content that a file is to have, and the digest it had."""

    model_config = ConfigDict(extra="forbid")

    was: str
    content: str


_JOURNALS = TypeAdapter(dict[str, _Entry])


def convert(root: Path, repos: Mapping[str, Repo], *, write: Write) -> None:
    """Convert repositories that are in the first layout, all or none.

    Args:
        root: of the hub.
        repos: by the path of their file below it.
        write: see `Write`.

    Raises:
        HubError: something cannot be written. Whether they are converted, the next start tells.
    """
    for repo in repos.values():
        commits = repo.history.all()
        name = f"{next(iter(commits))}.json"
        write(root / "commits" / repo.folder / name, commits_to_json(commits))
    journal = {
        path: _Entry(was=_digest(root / path), content=repo.model_dump_json())
        for path, repo in repos.items()
    }
    write(root / _JOURNAL, _JOURNALS.dump_json(journal))
    finish(root, write=write)


def finish(root: Path, *, write: Write) -> None:
    """Write the rest of what a journal says, if there is one.

    A file that is not what it was is left alone: it is written already, or an older rszoo has
    changed it, which may be where none is written yet, and it is converted another time.

    Raises:
        RszooError: the journal is broken, or something cannot be written.
    """
    path = root / _JOURNAL
    if not path.exists():
        return
    try:
        journal = _JOURNALS.validate_json(path.read_bytes())
    except ValidationError as error:
        raise RszooError(
            f"{path}: expected what a hub left while it was converted, got something else; "
            "restore the file, or move it away"
        ) from error
    for name, entry in journal.items():
        if (root / name).exists() and _digest(root / name) == entry.was:
            write(root / name, entry.content.encode())
    path.unlink()
    sync(root)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

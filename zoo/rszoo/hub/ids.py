"""Ids of bundles: `builtin/NAME` and, of models on a hub, `org/name`, `org/name@revision`."""

import re
from dataclasses import dataclass
from pathlib import Path

from rszoo.errors import RszooError

__all__ = ["BUILTIN", "HubId", "is_id", "is_on_hub"]

#: What the ids of bundles that come with rszoo begin with.
BUILTIN = "builtin/"

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REVISION = r"[A-Za-z0-9_](?:[A-Za-z0-9._/-]{0,198}[A-Za-z0-9_-])?"
_ID = re.compile(rf"({_NAME}/{_NAME})(?:@({_REVISION}))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubId:
    """A model on a hub.

    Attributes:
        repo: `org/name`.
        revision: branch, tag or commit; None for the newest commit of the default branch.
    """

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"

    @property
    def is_commit(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return self.revision is not None and bool(_COMMIT.fullmatch(self.revision))

    def at(self, commit: str) -> "HubId":
        """Return the id of the same model at a commit."""
        return HubId(self.repo, commit)

    @classmethod
    def matches(cls, text: str) -> bool:
        """Return whether a text has the form of a hub id."""
        match = _ID.fullmatch(text)
        return match is not None and ".." not in text and "--" not in match[1]

    @classmethod
    def parse(cls, text: str) -> "HubId":
        """Return the id that a text says.

        Raises:
            RszooError: it has another form.
        """
        match = _ID.fullmatch(text)
        if match is None or not cls.matches(text):
            raise RszooError(f"expected a hub id org/name or org/name@revision, got {text!r}")
        return cls(match[1], match[2])


def is_id(name: str) -> bool:
    """Return whether a name can only be meant as a bundle's, and not as a log's."""
    if Path(name).exists():
        return Path(name).is_dir()
    return name.startswith(BUILTIN) or is_on_hub(name)


def is_on_hub(name: str) -> bool:
    """Return whether a name is meant as an id on a hub: nothing of that name is near."""
    near = Path(name).is_dir() or Path(name).parent.is_dir()
    return HubId.matches(name) and ("@" in name or not near)

"""`manifest.json`: sha256 and size of every file of a bundle, and where the bundle comes from."""

import hashlib
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from rszoo.errors import IntegrityError
from rszoo.hub.files import MANIFEST
from rszoo.hub.origin import Origin

__all__ = ["DAMAGED", "Manifest", "file_digest"]

#: What to do about a bundle that fails its checks.
DAMAGED = "the bundle is damaged or was changed by hand; fetch or make it again"

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class FileEntry(BaseModel):
    """One file of a bundle."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    size: int


class Manifest(BaseModel):
    """Every file of a bundle but this one, and the bundle's origin.

    Attributes:
        format: version of this layout.
        files: file name -> digest and size.
        origin: where the bundle comes from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    files: dict[str, FileEntry]
    origin: Origin

    @classmethod
    def of(cls, folder: Path, *, origin: Origin) -> "Manifest":
        """Return the manifest of the files that lie in `folder`."""
        paths = sorted(path for path in folder.iterdir() if path.name != MANIFEST)
        files = {
            path.name: FileEntry(sha256=file_digest(path), size=path.stat().st_size)
            for path in paths
        }
        return cls(files=files, origin=origin)

    def to_json(self) -> str:
        """Return the text of `manifest.json`."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"

    def write(self, folder: Path) -> None:
        """Write `manifest.json` into the folder of the bundle."""
        (folder / MANIFEST).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read the manifest of a bundle; nothing else of the bundle is touched.

        Raises:
            IntegrityError: it is missing or unreadable, or names a file outside the bundle.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise IntegrityError(MANIFEST, expected="a file", actual="none", hint=DAMAGED)
        try:
            manifest = cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise IntegrityError(
                MANIFEST, expected="a manifest of format 1", actual="other content", hint=DAMAGED
            ) from error
        for name in manifest.files:
            if not _PLAIN_NAME.fullmatch(name) or name == MANIFEST:
                raise IntegrityError(
                    MANIFEST, expected="plain file names", actual=repr(name), hint=DAMAGED
                )
        return manifest

    def check(
        self, folder: Path, *, cache: Path | None = None, only: Collection[str] | None = None
    ) -> None:
        """Compare a bundle's files with the manifest.

        Args:
            folder: the bundle.
            cache: the folder of a cache that the bundle's files may be links into; what else
                lies beside them is then no part of the bundle, and is never read.
            only: the files to look at, the others need not be there; None for all.

        Raises:
            IntegrityError: a file is missing, extra, a link, of another size, or changed.
        """
        found = {path.name for path in folder.iterdir()} - {MANIFEST}
        for name in sorted(found - self.files.keys() if cache is None else ()):
            raise IntegrityError(name, expected="no such file", actual="a file", hint=DAMAGED)
        for name, entry in self.files.items():
            if only is not None and name not in only:
                continue
            path = folder / name
            if not path.is_file() or _leads_away(path, cache):
                actual = "a link" if path.is_symlink() else "none"
                raise IntegrityError(name, expected="a file", actual=actual, hint=DAMAGED)
            size = path.stat().st_size
            if size != entry.size:
                raise IntegrityError(
                    name, expected=f"{entry.size} bytes", actual=f"{size} bytes", hint=DAMAGED
                )
            digest = file_digest(path)
            if digest != entry.sha256:
                raise IntegrityError(
                    name, expected=f"sha256 {entry.sha256}", actual=digest, hint=DAMAGED
                )


def _leads_away(path: Path, cache: Path | None) -> bool:
    if cache is None:
        return path.is_symlink()
    return not path.resolve().is_relative_to(cache.resolve())


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, as hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

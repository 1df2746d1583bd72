"""`manifest.json`: sha256 and size of every file of a bundle, and where the bundle comes from."""

import hashlib
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from rszoo._json import read_json_bytes
from rszoo._reading import size_text
from rszoo.errors import IntegrityError
from rszoo.hub.files import MANIFEST, is_of_attack
from rszoo.hub.limits import LARGEST_MANIFEST, MOST_ATTACKS, MOST_FILES, most_bytes
from rszoo.hub.origin import Origin

__all__ = ["DAMAGED", "Manifest", "file_digest"]

#: What to do about a bundle that fails its checks.
DAMAGED = "the bundle is damaged or was changed by hand; fetch or make it again"

_TOO_LARGE = "no bundle may have more; ask its author for a smaller one"

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class FileEntry(BaseModel):
    """One file of a bundle."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Annotated[str, Field(max_length=64)]
    size: Annotated[int, Field(ge=0, lt=1 << 63)]


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
        """Return the manifest of the files that lie in `folder`.

        Raises:
            IntegrityError: they are more, or larger, than a bundle's may be.
        """
        paths = sorted(path for path in folder.iterdir() if path.name != MANIFEST)
        files = {
            path.name: FileEntry(sha256=file_digest(path), size=path.stat().st_size)
            for path in paths
        }
        manifest = cls(files=files, origin=origin)
        manifest._check_limits()
        return manifest

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
            IntegrityError: it is missing, unreadable or too large, or names a file outside the
                bundle, or more or larger ones than a bundle may have.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise IntegrityError(MANIFEST, expected="a file", actual="none", hint=DAMAGED)
        _check_limit(MANIFEST, path.stat().st_size, LARGEST_MANIFEST)
        try:
            manifest = cls.model_validate_json(read_json_bytes(path))
        except ValueError as error:  # no JSON, or of another form
            raise IntegrityError(
                MANIFEST, expected="a manifest of format 1", actual="other content", hint=DAMAGED
            ) from error
        for name in manifest.files:
            if not _PLAIN_NAME.fullmatch(name) or name == MANIFEST:
                raise IntegrityError(
                    MANIFEST, expected="plain file names", actual=repr(name), hint=DAMAGED
                )
        manifest._check_limits()
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

    def _check_limits(self) -> None:
        """Refuse more or larger files than a bundle may have, before any of them is fetched."""
        _check_count("files", len(self.files), MOST_FILES)
        attacks = sum(is_of_attack(name) for name in self.files)
        _check_count("files of attacks", attacks, 2 * MOST_ATTACKS)
        for name, entry in self.files.items():
            _check_limit(name, entry.size, most_bytes(name))


def _check_count(what: str, count: int, most: int) -> None:
    if count > most:
        raise IntegrityError(
            MANIFEST, expected=f"at most {most} {what}", actual=f"{count:,}", hint=_TOO_LARGE
        )


def _check_limit(name: str, size: int, most: int) -> None:
    if size > most:
        raise IntegrityError(
            name,
            expected=f"at most {size_text(most)}",
            actual=size_text(size),
            hint=_TOO_LARGE,
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

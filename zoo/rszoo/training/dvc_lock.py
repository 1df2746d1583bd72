"""What DVC's lock file says of a folder: the stage that made it, and what it was then."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from rszoo._yaml import parse_yaml
from rszoo.errors import DataError
from rszoo.evaluation.log import printable

__all__ = ["DvcEntry", "dvc_entry"]

_LOCK = "dvc.lock"


@dataclass(frozen=True, kw_only=True)
class DvcEntry:
    """The entry of an output in a lock file.

    Attributes:
        lock: the file.
        stage: that makes the output, such as `train@cat_rs-0.50`.
        md5: of the folder, as DVC reckons it.
        unchanged: whether the folder still has it.
    """

    lock: str
    stage: str
    md5: str
    unchanged: bool


def dvc_entry(folder: Path) -> DvcEntry | None:
    """Return the entry of a folder in the nearest `dvc.lock` above it; None without one.

    Raises:
        DataError: the lock file cannot be read.
    """
    folder = folder.resolve()
    lock = next((at / _LOCK for at in folder.parents if (at / _LOCK).is_file()), None)
    if lock is None:
        return None
    try:
        content = parse_yaml(lock.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {str(lock)!r}: {error}") from error
    for stage, entry in _mapping(_mapping(content).get("stages")).items():
        outs = _mapping(entry).get("outs")
        for out in outs if isinstance(outs, list) else ():
            path, md5 = (_mapping(out).get(key) for key in ("path", "md5"))
            if not isinstance(path, str) or not isinstance(md5, str):
                continue
            if os.path.normpath(lock.parent / path) == str(folder):
                return DvcEntry(
                    lock=printable(str(lock)),
                    stage=printable(str(stage)),
                    md5=printable(md5),
                    unchanged=_md5_of(folder) == md5,
                )
    return None


def _mapping(value: object) -> dict[object, object]:
    return value if isinstance(value, dict) else {}


def _md5_of(folder: Path) -> str:
    """Return DVC's md5 of a folder: that of the list of its files with theirs."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = [
        {
            "md5": hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest(),
            "relpath": path.relative_to(folder).as_posix(),
        }
        for path in files
    ]
    text = json.dumps(listed, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"

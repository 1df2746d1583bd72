"""JSON that others wrote: looked at before it is read, and read in one way only."""

import json
from pathlib import Path
from typing import Any

from rszoo._reading import check_size
from rszoo.errors import RszooError

__all__ = ["MOST_BYTES", "read_json_bytes"]

#: What a file of JSON may have.
MOST_BYTES = 2**24

_MARK = b"\xef\xbb\xbf"


def read_json_bytes(path: Path, *, error: type[RszooError] = RszooError) -> bytes:
    """Return the bytes of a JSON file without a byte order mark, checked to be JSON.

    Args:
        path: the file.
        error: class of what is raised for a file that cannot be read.

    Raises:
        OSError: it is missing, or cannot be read.
        RszooError: as `error`: it is no file, or too large.
        ValueError: it is no JSON, or names a key twice, which readers understand in two ways.
    """
    path.stat()
    check_size(path, most=MOST_BYTES, error=error)
    data = path.read_bytes().removeprefix(_MARK)
    try:
        json.loads(data, object_pairs_hook=_each_key_once)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return data


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"expected each key once, got {twice!r} twice")
    return values

"""Where data sets that have to be downloaded are kept, and what can be made again."""

import os
from pathlib import Path


def data_root(root: str | Path | None = None) -> Path:
    """Return the folder that holds downloaded data sets.

    That is `root` where given, else the environment's RSZOO_DATA, else `rszoo/data` in the user's
    cache folder (XDG_CACHE_HOME or ~/.cache).
    """
    chosen = root or os.environ.get("RSZOO_DATA")
    if chosen:
        return Path(chosen).expanduser()
    return cache_folder() / "data"


def cache_folder() -> Path:
    """Return the folder `rszoo` in the user's cache folder (XDG_CACHE_HOME or ~/.cache).

    Raises:
        RuntimeError: the user has no home folder.
    """
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "rszoo"


def is_default(root: str | Path | None) -> bool:
    """Return whether `data_root(root)` is rszoo's own cache, where it may download unasked."""
    return not (root or os.environ.get("RSZOO_DATA"))

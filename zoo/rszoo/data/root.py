"""Where data sets that have to be downloaded are kept."""

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
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "rszoo" / "data"


def is_default(root: str | Path | None) -> bool:
    """Return whether `data_root(root)` is rszoo's own cache, where it may download unasked."""
    return not (root or os.environ.get("RSZOO_DATA"))

"""The data sets known by name: the files of the folder `sets`. Free of torch."""

import re

from rszoo import _registry
from rszoo.data.facts import KnownSet

__all__ = ["SETS", "known_set", "name_of_own", "names"]

#: The package of the files.
SETS = "rszoo.data.sets"


def names() -> list[str]:
    """Return the names of the known data sets, sorted."""
    return _registry.names(SETS)


def known_set(dataset: str) -> KnownSet | None:
    """Return what is known of a data set; None for a path, or a name that is not known."""
    if dataset not in names():
        return None
    return _registry.load(SETS, dataset, kind="data set").SET


def name_of_own(name: str) -> str:
    """Return the name of a data set of the user's own, which is never that of a known one.

    Characters that do not belong in the name of a file become "_".

    >>> name_of_own("my photos"), name_of_own("CIFAR-10")
    ('my_photos', 'own-CIFAR-10')
    """
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    return f"own-{safe}" if _plain(safe) in map(_plain, names()) else safe


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())

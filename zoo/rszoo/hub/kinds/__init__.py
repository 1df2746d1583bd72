"""What is done with each kind of bundle, one file each.

The registry is this folder: the file `NAME.py` is for the bundles that `rszoo.hub.configs.NAME`
describes, and defines `KINDS`, a `Kind` for each value of their config's `kind`. A file for a
composed kind also has the function that composes one.
"""

from functools import cache

from rszoo import _registry
from rszoo.hub.bundle import Bundle
from rszoo.hub.kind import Kind

__all__ = ["all_kinds", "kind_of"]


@cache
def all_kinds() -> dict[str, Kind]:
    """Return every kind by the value of a config's `kind`."""
    found: dict[str, Kind] = {}
    for name in _registry.names(__name__):
        found |= _registry.load(__name__, name, kind="kind of bundle").KINDS
    return found


def kind_of(bundle: Bundle) -> Kind:
    """Return what is done with a bundle."""
    return all_kinds()[bundle.config.kind]

"""A folder as a registry: each file in it is one variant, and has the variant's name.

Files whose names begin with "_" are shared by the others, and are no variants.
"""

import pkgutil
from importlib import import_module
from types import ModuleType

from rszoo.errors import unknown_name

__all__ = ["load", "names"]


def names(package: str) -> list[str]:
    """Return the names of all variants in a package, sorted.

    Args:
        package: its full name, such as "rszoo.methods".
    """
    found = (module.name for module in pkgutil.iter_modules(import_module(package).__path__))
    return sorted(name for name in found if not name.startswith("_"))


def load(package: str, name: object, *, kind: str) -> ModuleType:
    """Return the module of one variant; it is imported now.

    Args:
        package: full name of the package.
        name: one of `names(package)`.
        kind: what messages call such a variant.

    Raises:
        RszooError: the package has no variant of this name.
    """
    known = names(package)
    if name not in known:
        raise unknown_name(kind, name, known)
    return import_module(f"{package}.{name}")

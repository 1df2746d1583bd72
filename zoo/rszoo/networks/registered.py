"""Networks of other packages: those that an installed one registers under `rszoo.networks`.

An entry point of this group has the network's name, and names a function
`build(*, input_shape, num_classes, <options>)` as the files of `architectures` have it; it works
under `torch.device("meta")` too. Looking for it imports nothing; only a network that is asked for
by name is imported, with the code of its package, which whoever installed it has trusted.
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from rszoo.errors import RszooError
from rszoo.networks.library import Package

__all__ = ["GROUP", "builder", "names", "package_of"]

GROUP = "rszoo.networks"


def names() -> list[str]:
    """Return the names that installed packages register, sorted."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def builder(name: str) -> Callable[..., Any]:
    """Return the function that a package registers under a name.

    Raises:
        RszooError: two packages register the name, or it is no function, or its package fails.
    """
    point = _point(name)
    try:
        found = point.load()
    except Exception as error:  # whatever the import of other people's code may raise
        raise RszooError(
            f"network {name!r}: expected the function {point.value!r} of an installed package, "
            f"got {type(error).__name__}: {error}"
        ) from error
    if not callable(found):
        raise RszooError(
            f"network {name!r}: expected a function build(*, input_shape, num_classes, ...) at "
            f"{point.value!r}, got {found!r}"
        )
    return found


def package_of(name: str) -> Package | None:
    """Return the package that registers a name; None if none does."""
    if name not in names():
        return None
    distribution = _point(name).dist
    if distribution is None:
        return None
    return Package(name=distribution.name, version=distribution.version)


def _point(name: str) -> EntryPoint:
    found = list({point.value: point for point in entry_points(group=GROUP, name=name)}.values())
    if len(found) != 1:
        raise RszooError(
            f"network {name!r}: expected one installed package that registers it under "
            f"{GROUP!r}, got {sorted(point.value for point in found)}; uninstall all but one"
        )
    return found[0]

"""Bundles by id: a path, or `builtin/NAME` for one that comes with rszoo."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import rszoo
from rszoo.errors import RszooError, unknown_name
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.manifest import MANIFEST

if TYPE_CHECKING:
    from rszoo.smoothing.classifier import SmoothedClassifier

__all__ = ["builtin_names", "bundles_in", "find", "is_builtin", "is_id", "load"]

_BUILTIN = "builtin/"


def builtin_names() -> list[str]:
    """Return the ids of the bundles that come with rszoo."""
    return [f"{_BUILTIN}{folder.name}" for folder in _bundle_folders(_builtin_folder())]


def find(model: str | Path) -> Bundle:
    """Return the checked bundle with an id.

    Args:
        model: the path of a bundle, or `builtin/NAME`. A path that exists wins.

    Raises:
        RszooError: there is no such bundle.
        IntegrityError: its files are not what its manifest says.
    """
    name = str(model)
    if not Path(model).is_dir() and f"{_BUILTIN}{name}" in builtin_names():
        raise RszooError(f"no such folder: {name!r}; did you mean {_BUILTIN + name!r}?")
    if Path(model).is_dir() or not name.startswith(_BUILTIN):
        return open_bundle(model)
    if name not in builtin_names():
        raise unknown_name("builtin bundle", name, builtin_names())
    return open_bundle(_builtin_folder() / name.removeprefix(_BUILTIN))


def is_id(name: str) -> bool:
    """Return whether a name can only be meant as a bundle's: a folder, or `builtin/NAME`."""
    return Path(name).is_dir() or (name.startswith(_BUILTIN) and not Path(name).exists())


def is_builtin(bundle: Bundle) -> bool:
    """Return whether a bundle is one of those that come with rszoo."""
    return bundle.path.parent == _builtin_folder()


def load(
    model: str | Path,
    *,
    device: str | None = None,
    precision: str = "auto",
    compile: bool = False,
    sound: bool = False,
) -> "SmoothedClassifier":
    """Return a ready smoothed classifier; the bare network is its attribute `network`.

    Args:
        model: the path of a bundle, or `builtin/NAME`.
        device: where to run; None takes a GPU if there is one.
        precision: "auto", "float32" or "bfloat16".
        compile: compile the network, which pays for many draws of a residual network.
        sound: certify in the numbers that a computer really adds, for 8-bit images.

    Raises:
        RszooError: no such bundle, unknown device or precision.
        IntegrityError: a file of the bundle is corrupt, truncated, extra or missing.
    """
    return find(model).classifier(device=device, precision=precision, compile=compile, sound=sound)


def bundles_in(folder: Path) -> Iterator[tuple[Path, Bundle | RszooError]]:
    """Yield the bundles directly in a folder: path, and the bundle or what is wrong with it."""
    for path in _bundle_folders(folder):
        try:
            yield path, open_bundle(path)
        except RszooError as error:
            yield path, error


def _builtin_folder() -> Path:
    return Path(rszoo.__file__).parent / "builtin"


def _bundle_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and (path / MANIFEST).is_file()
    )

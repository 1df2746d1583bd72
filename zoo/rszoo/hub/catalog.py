"""Bundles by id: a path, `builtin/NAME` for one that comes with rszoo, or `org/name` on a hub."""

import fnmatch
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import rszoo
from rszoo._each import attempted
from rszoo.errors import HubError, RszooError, unknown_name
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.files import MANIFEST
from rszoo.hub.ids import BUILTIN, HubId, is_on_hub

__all__ = [
    "builtin_bundles",
    "builtin_names",
    "bundles_in",
    "find",
    "find_weights",
    "is_own",
    "list_models",
]


def builtin_names() -> list[str]:
    """Return the ids of the bundles that come with rszoo."""
    return [f"{BUILTIN}{folder.name}" for folder in _bundle_folders(_builtin_folder())]


def find(model: str | Path) -> Bundle:
    """Return the checked bundle with an id; one that is on a hub is fetched.

    Args:
        model: the path of a bundle, `builtin/NAME`, or `org/name[@revision]` on a hub. A path
            that exists wins, and so does a path into a folder that exists.

    Raises:
        RszooError: there is no such bundle.
        HubError: a hub does not have it, or cannot be reached.
        IntegrityError: its files are not what its manifest says.
    """
    name = str(model)
    if name.startswith(BUILTIN) and not Path(model).is_dir():
        if name not in builtin_names():
            raise unknown_name("builtin bundle", name, builtin_names())
        return open_bundle(_builtin_folder() / name.removeprefix(BUILTIN), id=name)
    if not Path(model).is_dir() and f"{BUILTIN}{name}" in builtin_names():
        raise RszooError(f"no such folder: {name!r}; did you mean {BUILTIN + name!r}?")
    if isinstance(model, str) and is_on_hub(name):
        from rszoo.hub.pull import pull

        try:
            return pull(HubId.parse(name))
        except HubError as error:
            raise HubError(f"{error}; there is no folder {name!r} either") from error
    return open_bundle(model)


def find_weights(name: str, digest: str, *, folder: Path, id: str | None = None) -> Bundle | None:
    """Return the bundle of a name and of certain weights, or None where there is none.

    Args:
        name: of the bundle, as a log states it.
        digest: its `Bundle.weights_digest`.
        folder: of bundles, which is looked into before those that come with rszoo.
        id: where it is on a hub, which is asked last.

    Raises:
        HubError: the hub cannot be reached.
    """
    if Path(name).name != name:  # a log may be anybody's
        return None
    for place in (folder / name, f"{BUILTIN}{name}"):
        found = attempted(partial(find, place), expected="a bundle")
        if isinstance(found, Bundle) and found.weights_digest == digest:
            return found
    found = find(id) if id is not None and is_on_hub(id) else None
    return found if found is not None and found.weights_digest == digest else None


def is_own(bundle: Bundle) -> bool:
    """Return whether a bundle is the user's to change: not one of rszoo's, nor in a cache."""
    return bundle.id == str(bundle.path)


def list_models(pattern: str = "*", *, hub: bool = False) -> list[str]:
    """Return the ids of models that `rszoo.load` takes: those that come with rszoo, and a hub's.

    Args:
        pattern: what the ids look like, such as "*cat_rs*".
        hub: list the models of rszoo on the hub as well.

    Raises:
        HubError: the hub cannot be reached.
    """
    ids = builtin_names()
    if hub:
        from rszoo.hub.listing import listed

        ids += [one.id for one in listed()]
    return fnmatch.filter(ids, pattern)


def bundles_in(folder: Path) -> Iterator[tuple[Path, Bundle | RszooError]]:
    """Yield the bundles directly in a folder: path, and the bundle or what is wrong with it."""
    for path in _bundle_folders(folder):
        yield path, _opened(path)


def builtin_bundles() -> Iterator[tuple[str, Bundle | RszooError]]:
    """Yield the bundles that come with rszoo: id, and the bundle or what is wrong with it."""
    for path in _bundle_folders(_builtin_folder()):
        id = f"{BUILTIN}{path.name}"
        yield id, _opened(path, id=id)


def _opened(path: Path, *, id: str | None = None) -> Bundle | RszooError:
    return attempted(lambda: open_bundle(path, id=id), expected="a bundle")


def _builtin_folder() -> Path:
    return Path(rszoo.__file__).parent / "builtin"


def _bundle_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if not path.name.startswith(".") and _has_manifest(path)
    )


def _has_manifest(path: Path) -> bool:
    try:
        return (path / MANIFEST).is_file()
    except OSError:  # it may not be looked into, which opening it says
        return True

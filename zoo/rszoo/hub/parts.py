"""How a bundle that is made of others names them, finds them, and is written beside them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rszoo
from rszoo.errors import IntegrityError, RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import find, is_own
from rszoo.hub.config import ComposedConfig, Part
from rszoo.hub.origin import Origin, Parent
from rszoo.hub.writing import write_bundle

if TYPE_CHECKING:
    from torch import nn

__all__ = ["fetch_parts", "own_parts", "part_in", "part_of", "write_composed"]


def part_of(bundle: Bundle, part: Part) -> Bundle:
    """Return a part of a bundle, fetched if need be.

    Raises:
        RszooError: it is not there, or a bundle on a hub names a path.
        IntegrityError: it is not the one that was composed.
    """
    place = _place(bundle, part)
    try:
        found = find(place)
    except IntegrityError:
        raise
    except RszooError as error:
        raise RszooError(f"{bundle.id}: its part {part.id} is missing: {error}") from error
    if found.weights_digest != part.digest:
        raise IntegrityError(
            part.id,
            expected=f"the part of {bundle.id} with digest {part.digest}",
            actual=found.weights_digest,
            hint="it was trained again since; compose anew",
        )
    return found


def fetch_parts(bundle: Bundle) -> list[Bundle]:
    """Return all parts of a bundle, each once and checked, so that they are here from now on.

    Raises:
        RszooError, IntegrityError: as `part_of`.
    """
    different = {(part.id, part.digest): part for part in bundle.config.parts}
    return [part_of(bundle, part) for part in different.values()]


def own_parts(bundle: Bundle) -> list[str]:
    """Return the parts that nobody else can find, each once: those named by a path."""
    return [*dict.fromkeys(part.id for part in bundle.config.parts if not _elsewhere(part))]


def part_in(folder: Path, bundle: Bundle) -> Part:
    """Return how a bundle in `folder` names another."""
    named = bundle.id
    if is_own(bundle):
        named = os.path.relpath(bundle.path.resolve(), folder.resolve().parent)
    return Part(id=named, digest=bundle.weights_digest)


def write_composed(
    folder: Path,
    config: ComposedConfig,
    *,
    parts: Sequence[Bundle],
    network: "nn.Module | None" = None,
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle that is made of others.

    Args:
        folder: the new bundle.
        config: names its parts by `part_in`.
        parts: the bundles that it names.
        network: whose weights it holds besides; None for none.
        overwrite: replace an existing bundle.

    Raises:
        RszooError: the folder exists, or is that of a part.
    """
    for part in parts:
        if part.path.resolve() == folder.resolve():
            raise RszooError(f"expected another folder than that of a part, got {str(folder)!r}")
    return write_bundle(
        folder, config=config, origin=_origin(parts), network=network, replace=overwrite
    )


def _place(bundle: Bundle, part: Part) -> str | Path:
    """Return what `find` takes for a part: a path is one from where the bundle lies."""
    if _elsewhere(part):
        return part.id
    if is_own(bundle):
        return bundle.path.parent / part.id
    if bundle.id == f"builtin/{bundle.path.name}":  # its parts came with it
        return f"builtin/{part.id}"
    raise RszooError(f"{bundle.id}: expected a part on a hub, got the path {part.id!r}")


def _elsewhere(part: Part) -> bool:
    return part.id.startswith("builtin/") or "@" in part.id


def _origin(parts: Sequence[Bundle]) -> Origin:
    parents = tuple(
        Parent(name=part.config.name, weights_sha256=part.weights_digest) for part in parts
    )
    return Origin(rszoo=rszoo.__version__, parents=parents)

"""Fetch a bundle from a hub into the hub client's cache; nothing else of the model is fetched."""

import logging
from pathlib import Path

from rszoo.errors import IntegrityError, RszooError
from rszoo.hub import remote
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.files import MANIFEST, PRESENTATION, SIGNATURE, in_record
from rszoo.hub.ids import HubId
from rszoo.hub.manifest import Manifest
from rszoo.hub.signing import check_signature

__all__ = ["check_signed", "pull", "pull_record"]

_log = logging.getLogger("rszoo.hub")

# Files of a model that are not read.
_IGNORED = {*PRESENTATION, ".gitattributes"}


def pull(model: HubId) -> Bundle:
    """Return the checked bundle at a revision; its id is `org/name@commit`.

    The parts of a composed one are not fetched with it, see `rszoo.hub.parts.fetch_parts`.
    What is cached is not fetched again, and a commit that is cached needs no hub. Only the files
    that the manifest lists are fetched, and only they are ever read. Without the hub, the cached
    revision is taken, and a warning logged.

    Raises:
        HubError: no such model, no permission, or neither hub nor cached copy.
        IntegrityError: its files are not what its manifest says, fetched anew or not.
    """
    head = remote.head(model)
    if not head.reached and not model.is_commit:
        _log.warning(
            "cannot reach %s: using %s from the cache, which may be old",
            remote.endpoint(),
            head.id,
        )
    try:
        bundle = _fetched(head)
    except IntegrityError:
        if not head.reached:
            raise
        bundle = _fetched(head, anew=True)  # a broken transfer stays in the cache
    if head.reached and not model.is_commit:
        remote.remember(model, MANIFEST)
    return bundle


def pull_record(model: HubId) -> Bundle:
    """Return what a bundle says of itself, its logs too: checked, but without weights.

    It can be read about, and not be loaded.

    Raises:
        As `pull`.
    """
    head = remote.head(model)
    try:
        return _fetched(head, record=True)
    except IntegrityError:
        return _fetched(head, anew=True, record=True)


def _fetched(head: remote.Head, *, anew: bool = False, record: bool = False) -> Bundle:
    manifest = Manifest.read(remote.download(head.id, [MANIFEST], anew=anew))
    names = [name for name in manifest.files if not record or in_record(name)]
    if unlisted := set(head.files) - {MANIFEST, *manifest.files, *_IGNORED}:
        _log.warning(
            "%s: ignored what its manifest does not list: %s", head.id, ", ".join(sorted(unlisted))
        )
    folder = remote.download(head.id, [MANIFEST, *names], anew=anew)
    return open_bundle(folder, id=str(head.id), cache=folder.parent.parent, only=names)


def check_signed(bundle: Bundle, *, key: Path) -> None:
    """Check the signature of a bundle on a hub.

    Args:
        bundle: from `pull`.
        key: PEM file of its publisher's public key.

    Raises:
        RszooError: the bundle is not from a hub, or the key cannot be used.
        HubError: it is not signed, or the signature cannot be fetched.
        IntegrityError: somebody else signed it, or other files.
    """
    if "@" not in bundle.id:
        raise RszooError(f"expected a model on a hub, where signatures are, got {bundle.id}")
    folder = remote.download(HubId.parse(bundle.id), [SIGNATURE])
    check_signature(bundle, (folder / SIGNATURE).read_bytes(), key=key)

"""Publish a bundle on a hub, with a card that is made from it."""

from dataclasses import dataclass
from pathlib import Path

from rszoo.errors import RszooError
from rszoo.evaluation.log import read_log
from rszoo.hub import remote
from rszoo.hub.bundle import Bundle
from rszoo.hub.card import card_files
from rszoo.hub.evidence import check_of_bundle_alone
from rszoo.hub.files import MANIFEST, PRESENTATION, RECORD, SIGNATURE, WEIGHTS
from rszoo.hub.ids import HubId
from rszoo.hub.parts import own_parts
from rszoo.hub.signing import is_signed_with, signature

__all__ = ["Pushed", "push"]

# What an earlier push may have left that this one does not bring.
_OURS = {*RECORD, WEIGHTS, MANIFEST, *PRESENTATION}


@dataclass(frozen=True)
class Pushed:
    """A bundle on a hub.

    Attributes:
        id: `org/name@commit`.
        url: its page.
        changed: whether something was committed.
    """

    id: HubId
    url: str
    changed: bool


def push(
    bundle: Bundle,
    model: HubId,
    *,
    tag: str | None = None,
    private: bool = False,
    license: str | None = None,
    uncertified: bool = False,
    sign: Path | None = None,
) -> Pushed:
    """Publish a bundle; a bundle that is there already makes no commit.

    Args:
        bundle: what to publish.
        model: where, without a revision.
        tag: for the commit.
        private: of a model that is new.
        license: for the card.
        uncertified: publish it even without certificates.
        sign: PEM file of a private key to sign it with; see `rszoo.hub.signing`.

    Raises:
        RszooError: the bundle has no certificates, or some of more than the bundle, the id has a
            revision, or a part is not on a hub.
        HubError: no permission; the model was changed at the same time; no hub.
    """
    if model.revision is not None:
        raise RszooError(f"expected org/name to push to, got {model}; --tag gives a commit a name")
    if bundle.evidence is None and not uncertified:
        raise RszooError(
            f"{bundle.id} is not certified: rszoo certify --model {bundle.id} --attach, or push "
            "it with --uncertified"
        )
    if bundle.evidence is not None:
        check_of_bundle_alone(read_log(bundle.evidence))
    if local := own_parts(bundle):
        raise RszooError(
            f"{bundle.id}: its parts {', '.join(local)} are on no hub: push them, and compose it "
            "from their ids there"
        )
    files: dict[str, bytes | Path] = {
        name: bundle.path / name for name in (*bundle.manifest.files, MANIFEST)
    }
    files |= card_files(bundle, model.repo, license=license)
    remote.create(model, private=private)
    head = remote.head(model)
    if sign is not None:
        files[SIGNATURE] = _signature(bundle, head, sign)
    stale = sorted(_OURS.intersection(head.files) - files.keys())
    done = model.at(
        remote.commit(head.id, files, stale=stale, message=f"rszoo push {bundle.config.name}")
    )
    if tag is not None:
        remote.tag(done, tag)
    return Pushed(done, f"{remote.endpoint()}/{model.repo}", changed=done != head.id)


def _signature(bundle: Bundle, head: remote.Head, private_key: Path) -> bytes:
    """Return a signature: the one that is there if it is good, since no two are equal."""
    if SIGNATURE in head.files:
        there = (remote.download(head.id, [SIGNATURE]) / SIGNATURE).read_bytes()
        if is_signed_with(bundle, there, private_key=private_key):
            return there
    return signature(bundle, private_key=private_key)

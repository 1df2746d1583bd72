"""Publish a bundle on a hub, with a card that is made from it."""

from dataclasses import dataclass
from pathlib import Path

from rszoo.errors import HubError, RszooError
from rszoo.evaluation.coverage import check_complete
from rszoo.hub import remote, tags
from rszoo.hub.bundle import Bundle
from rszoo.hub.card import card_files
from rszoo.hub.evidence import check_of_bundle_alone, evidence_of
from rszoo.hub.files import (
    MANIFEST,
    ONNX,
    PRESENTATION,
    SIGNATURE,
    WEIGHTS,
    in_record,
)
from rszoo.hub.ids import HubId
from rszoo.hub.licenses import check_license
from rszoo.hub.parts import own_parts
from rszoo.hub.replacing import check_replaceable
from rszoo.hub.signing import is_signed_with, signature

__all__ = ["Pushed", "check_pushable", "push"]

# What an earlier push may have left that this one does not bring, beside the record.
_OURS = {WEIGHTS, ONNX, MANIFEST, *PRESENTATION}


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
    replace: bool = False,
    sign: Path | None = None,
) -> Pushed:
    """Publish a bundle; a bundle that is there already makes no commit.

    All that can be refused is refused before anything is changed. Files and card are one commit,
    on top of the one that was looked at.

    Args:
        bundle: what to publish.
        model: where, without a revision.
        tag: for the commit.
        private: of a model that is new.
        license: for the card, one of `rszoo.hub.licenses.LICENSES`.
        uncertified: publish it even without certificates.
        replace: publish it even in the place of another model, or of one with more certificates.
        sign: PEM file of a private key to sign it with; see `rszoo.hub.signing`.

    Raises:
        RszooError: the bundle has no certificates, or some of more than the bundle, the id has a
            revision, the tag is none, no licence has such a name, a part is not on a hub, or what
            is there is not to be replaced.
        DataError: its certificates, or its logs of attacks, are not about it.
        HubError: no permission; the tag is another commit's; the model was changed at the same
            time; no hub. Where the tag alone failed, the error says what is published.
    """
    _check_place(model, tag)
    check_license(license)
    check_pushable(bundle, uncertified=uncertified)
    _check_findable(bundle)
    files: dict[str, bytes | Path] = {
        name: bundle.path / name for name in (*bundle.manifest.files, MANIFEST)
    }
    files |= card_files(bundle, model.repo, license=license)
    if sign is not None:
        files[SIGNATURE] = signature(bundle, private_key=sign)
    remote.create(model, private=private)
    head = remote.head(model)
    if not replace:
        check_replaceable(head, bundle)
    if sign is not None and (there := _good_signature(bundle, head, sign)) is not None:
        files[SIGNATURE] = there
    ours = {name for name in head.files if name in _OURS or in_record(name)}
    stale = sorted(ours - files.keys())
    if tag is not None:
        changes = bool(stale) or not remote.holds(head.id, files)
        tags.check_tag(head.id, tag, changes=changes)
    done = model.at(
        remote.commit(head.id, files, stale=stale, message=f"rszoo push {bundle.config.name}")
    )
    if tag is not None:
        _give_tag(done, tag)
    return Pushed(done, f"{remote.endpoint()}/{model.repo}", changed=done != head.id)


def _check_place(model: HubId, tag: str | None) -> None:
    if model.revision is not None:
        raise RszooError(f"expected org/name to push to, got {model}; --tag gives a commit a name")
    if tag is not None and (not HubId.matches(f"{model}@{tag}") or model.at(tag).is_commit):
        raise RszooError(
            f"expected a tag of letters, digits, '-', '_', '.' and '/', such as v1, got {tag!r}"
        )


def check_pushable(bundle: Bundle, *, uncertified: bool) -> None:
    """Refuse to publish a bundle whose certificates are missing, or not those of all its inputs.

    Raises:
        RszooError: they are.
        DataError: they are not about the bundle.
    """
    if bundle.evidence is None and not uncertified:
        raise RszooError(
            f"{bundle.id} is not certified: rszoo certify --model {bundle.id} --attach, or push "
            "it with --uncertified"
        )
    if bundle.evidence is not None:
        log = evidence_of(bundle)
        check_of_bundle_alone(log)
        check_complete(log, remedy="certify the others and attach the log again")


def _check_findable(bundle: Bundle) -> None:
    """Refuse a bundle whose parts nobody else can find."""
    if local := own_parts(bundle):
        raise RszooError(
            f"{bundle.id}: its parts {', '.join(local)} are on no hub: push them too "
            "(--with-parts), or compose it from their ids there"
        )


def _give_tag(done: HubId, tag: str) -> None:
    try:
        tags.tag(done, tag)
    except HubError as error:
        raise HubError(
            f"{done} is published, but has no tag {tag!r}: {error}; push again, with a tag that "
            "is free"
        ) from error


def _good_signature(bundle: Bundle, head: remote.Head, private_key: Path) -> bytes | None:
    """Return the signature that is there if it is good, since no two are equal."""
    if SIGNATURE not in head.files:
        return None
    there = (remote.download(head.id, [SIGNATURE]) / SIGNATURE).read_bytes()
    return there if is_signed_with(bundle, there, private_key=private_key) else None

"""Publish a bundle that is made of others together with those of its parts that are on no hub.

On the hub the bundle names each part by its commit there. That is all that differs from the one
here: the networks, which the digests of the parts stand for, are the same.
"""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rszoo.errors import RszooError
from rszoo.evaluation.protocol import read_protocol, write_protocol
from rszoo.hub.attack_logs import attacks_of, restate_attacks
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.evidence import evidence_of
from rszoo.hub.files import CONFIG, EVIDENCE, PROTOCOL
from rszoo.hub.ids import HubId
from rszoo.hub.manifest import Manifest
from rszoo.hub.parts import own_parts, part_of
from rszoo.hub.push import Pushed, check_pushable, push

__all__ = ["push_with_parts"]


def push_with_parts(
    bundle: Bundle, model: HubId, *, tag: str | None = None, **options: Any
) -> list[Pushed]:
    """Publish the own parts of a bundle beside it, by their names, and then the bundle.

    Guarantee:
        The certificates that go with the bundle are those of the one here, whose log is checked
        first. They rest on the votes of networks, and a part is on the hub only with the digest
        that the bundle names: the log's claims are about the same function. That its protocol
        states the digest of the bundle's config as it is on the hub is all that is changed in it.

    Args:
        bundle: what to publish.
        model: where; its parts go to the same organisation.
        tag: for the commit of the bundle.
        **options: of `rszoo.hub.push.push`, for all of them; parts need no certificates.

    Returns:
        The parts that were published, then the bundle.

    Raises:
        RszooError, DataError, HubError: as `push`; or two parts have one name.
    """
    check_pushable(bundle, uncertified=options.get("uncertified", False))
    own = {part.id: part for part in bundle.config.parts if part.id in own_parts(bundle)}
    found = {id: part_of(bundle, part) for id, part in own.items()}
    places = _places(found, model)
    done: list[Pushed] = []
    for id, part in found.items():
        done += push_with_parts(part, places[id], **{**options, "uncertified": True})
        places[id] = done[-1].id
    with TemporaryDirectory() as folder:
        renamed = _renamed(bundle, places, Path(folder) / "bundle") if places else bundle
        return [*done, push(renamed, model, tag=tag, **options)]


def _places(found: dict[str, Bundle], model: HubId) -> dict[str, HubId]:
    """Return where each part goes: to the organisation of the whole, under its own name."""
    organisation = model.repo.partition("/")[0]
    taken: dict[str, str] = {model.repo: "the bundle itself"}
    places = {}
    for id, part in found.items():
        place = HubId.parse(f"{organisation}/{part.config.name}")
        if other := taken.get(place.repo):
            raise RszooError(
                f"expected parts of different names, got {place.repo} for {id!r} and {other}; "
                "push one of them to another place, and compose the bundle from its id there"
            )
        places[id], taken[place.repo] = place, repr(id)
    return places


def _renamed(bundle: Bundle, places: dict[str, HubId], folder: Path) -> Bundle:
    """Return a copy of a bundle that names its parts by where they are on the hub."""
    log = None if bundle.evidence is None else evidence_of(bundle)  # it is about this bundle
    attacks_of(bundle)  # so are these
    folder.mkdir()
    for name in bundle.manifest.files:
        shutil.copyfile(bundle.path / name, folder / name)
    values = json.loads((bundle.path / CONFIG).read_bytes())
    text = json.dumps(_with_ids(values, places))
    config = type(bundle.config).model_validate_json(text)
    (folder / CONFIG).write_text(config.to_json(), encoding="utf-8")
    Manifest.of(folder, origin=bundle.manifest.origin).write(folder)
    digest = open_bundle(folder).weights_digest
    restate_attacks(folder, digest)
    if log is not None:
        protocol = read_protocol(folder / PROTOCOL)
        assert protocol.model is not None  # or the log would not be about the bundle
        stated = protocol.model.model_copy(update={"weights_sha256": digest})
        write_protocol(folder / EVIDENCE, protocol.model_copy(update={"model": stated}))
    Manifest.of(folder, origin=bundle.manifest.origin).write(folder)
    return open_bundle(folder)


def _with_ids(values: Any, places: dict[str, HubId]) -> Any:  # noqa: ANN401
    """Return JSON values in which the parts that moved have the ids of where they are."""
    if isinstance(values, list):
        return [_with_ids(one, places) for one in values]
    if not isinstance(values, dict):
        return values
    if {"id", "digest"} <= values.keys() and values["id"] in places:
        return {**values, "id": str(places[values["id"]])}
    return {key: _with_ids(one, places) for key, one in values.items()}

"""Where a bundle comes from: run, recipe, data, code, pipeline, certificates, and its parents'.

What bundles and lock files say may come from anybody: it is checked for its kind and made
printable, and a name from it is never followed out of a folder of bundles.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rszoo._yaml import parse_yaml
from rszoo.errors import RecipeError, RszooError
from rszoo.evaluation.log import printable
from rszoo.evaluation.metrics import summary
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.catalog import builtin_names, find, is_own
from rszoo.hub.evidence import evidence_of
from rszoo.hub.kinds import kind_of
from rszoo.hub.parts import part_of
from rszoo.training.dvc_lock import dvc_entry
from rszoo.training.recipes.recipe import Recipe, digest_of
from rszoo.training.tracking.lost import status_of
from rszoo.training.tracking.recording import store_folder
from rszoo.training.tracking.registry import registration
from rszoo.training.tracking.store import Store, open_store

__all__ = ["lineage"]

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_RUN_ID = re.compile(r"[0-9a-f]{32}")

Node = dict[str, Any]


def lineage(bundle: Bundle) -> Node:
    """Return the tree of a bundle's origins, as JSON values.

    Returns:
        What the bundle is; `run`, `registered`, `recipe`, `data`, `git_commit`, `dvc`,
        `certificates`, each None where nothing is known; and `parents`, a list of the same, each
        with its `role`. A parent that cannot be found has a `problem` instead, and one that
        stands in the tree already is `repeated` without its own.
    """
    nodes: list[tuple[Node, Bundle]] = []
    tree = _node(bundle, nodes)
    stores: dict[Path, list[tuple[Node, Bundle]]] = {}
    for node, of in nodes:
        given = "MLFLOW_TRACKING_URI" in os.environ
        stores.setdefault(store_folder(bundle if given else of), []).append((node, of))
    for folder, of_store in stores.items():
        _add_runs(folder, of_store)
    return tree


def _node(bundle: Bundle, nodes: list[tuple[Node, Bundle]]) -> Node:
    config, origin = bundle.config, bundle.manifest.origin
    node: Node = {
        "id": printable(bundle.id),
        "name": printable(config.name),
        "dataset": printable(config.dataset),
        "method": printable(config.method),
        "sigma": config.noise,
        "weights_sha256": bundle.weights_digest,
    }
    if any(known.weights_digest == bundle.weights_digest for _, known in nodes):
        return node | {"repeated": True}
    nodes.append((node, bundle))
    node["run"] = node["registered"] = None
    node["recipe"] = _recipe(bundle, _text(origin.facts.get("recipe")))
    node["data"] = _text(origin.facts.get("data"))
    node["git_commit"] = _text(origin.git_commit)
    node["rszoo"] = _text(origin.rszoo)
    node["dvc"] = _dvc(bundle)
    node["certificates"] = _certificates(bundle)
    node["parents"] = [
        {"role": role} | (_node(found, nodes) if isinstance(found, Bundle) else found)
        for role, found in _parents(bundle)
    ]
    return node


def _recipe(bundle: Bundle, digest: str | None) -> Node | None:
    """Return the digest of a bundle's recipe, and whether `recipe.yaml` is that recipe."""
    if digest is None:
        return None
    try:
        text = bundle.recipe.read_text(encoding="utf-8")
        # As it is written first: to check the values takes the method, and with it torch.
        same = digest_of(parse_yaml(text)) == digest or Recipe.from_yaml(text).digest == digest
    except (OSError, TypeError, ValueError, RecipeError):  # of another version of rszoo
        same = None
    return {"digest": digest, "in_bundle": same}


def _dvc(bundle: Bundle) -> Node | None:
    try:
        entry = dvc_entry(bundle.path) if is_own(bundle) else None
    except RszooError as error:
        return {"problem": printable(str(error))}
    return asdict(entry) if entry else None


def _certificates(bundle: Bundle) -> Node | None:
    if bundle.evidence is None:
        return None
    try:
        log = evidence_of(bundle)
        known = summary(log)
    except RszooError as error:
        return {"problem": printable(str(error))}
    protocol = log.protocol
    source = protocol.values().get("inputs") or {} if protocol else {}
    return {
        "images": known.images,
        "of": {printable(str(key)): _text(value) for key, value in source.items()},
        "n": known.n,
        "alpha": known.alpha,
        "acr": known.acr,
        "seed": protocol.seed if protocol else None,
        "rszoo": _text(protocol.versions.get("rszoo")) if protocol else None,
    }


def _parents(bundle: Bundle) -> Iterator[tuple[str, Bundle | Node]]:
    """Yield role and bundle of each parent, or what is known of one that is not here."""
    roles = kind_of(bundle).roles(bundle.config)
    for role, part in zip(roles, bundle.config.parts, strict=True):
        try:
            yield role, part_of(bundle, part)
        except RszooError as error:
            yield role, _missing(part.id, part.digest, str(error))
    for parent in () if roles else bundle.manifest.origin.parents:
        name, digest = (_text(text) or "?" for text in (parent.name, parent.weights_sha256))
        yield "trained with", _near(bundle, name, digest)


def _near(bundle: Bundle, name: str, digest: str) -> Bundle | Node:
    """Return the bundle of a name and weights that lies beside another, or comes with rszoo."""
    problem = "not here"
    beside = bundle.path.parent / name
    if _PLAIN.fullmatch(name) and is_own(bundle) and beside.is_dir():
        try:
            found = open_bundle(beside)
            if found.weights_digest == digest:
                return found
            problem = "trained again since"
        except RszooError as error:
            problem = str(error)
    if f"builtin/{name}" in builtin_names():
        found = find(f"builtin/{name}")
        if found.weights_digest == digest:
            return found
    return _missing(name, digest, problem)


def _missing(name: str, digest: str, problem: str) -> Node:
    return {"name": printable(name), "weights_sha256": digest, "problem": printable(problem)}


def _add_runs(folder: Path, nodes: list[tuple[Node, Bundle]]) -> None:
    """Add the run of each bundle, and its entry in the registry, from the store of a folder."""
    for node, bundle in nodes:
        run_id = bundle.manifest.origin.mlflow_run
        if run_id is not None and _RUN_ID.fullmatch(run_id):
            node["run"] = {"id": run_id, "name": None, "status": None, "store": None}
    try:
        with open_store(folder) as store:
            if store is None:
                return
            for node, bundle in nodes:
                node["run"] = node["run"] and _run(store, node["run"])
                entry = registration(store, bundle)
                node["registered"] = asdict(entry) if entry else None
    except RszooError as error:
        for node, _ in nodes:
            if node["run"]:
                node["run"]["problem"] = printable(str(error))


def _run(store: Store, run: Node) -> Node:
    """Return what a store knows of a run; without a name and a status if it knows nothing."""
    from mlflow import MlflowClient, MlflowException

    try:
        found = MlflowClient().get_run(run["id"])
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return run | {"store": store.uri}
    name = printable(found.info.run_name or "")
    return run | {"name": name, "status": status_of(found), "store": store.uri}


def _text(value: object) -> str | None:
    return printable(value[:500]) if isinstance(value, str) else None

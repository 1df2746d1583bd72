"""Finished models in MLflow's registry, and who is the champion among them.

There is one registered model per data set and noise level (`digits-0.50`), and a version of it for
each bundle. Two aliases point to versions:

    candidate   the newest
    champion    the one with the highest ACR among those certified alike: the same inputs, n,
                alpha, radii and bound. Where several protocols were used, the one with the most
                inputs counts, then the one with the most draws, then the published bound, then the
                smallest alpha; one that tests given radii only, or stops early, comes last. Of two
                equals it is the older.

Networks without noise, routers and mixing networks are parts of models, and not registered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rszoo.certificates.kind import ONE_SIDED
from rszoo.errors import RszooError
from rszoo.evaluation.log import LogTable
from rszoo.evaluation.metrics import protocol_digest, summary
from rszoo.hub.bundle import Bundle
from rszoo.hub.evidence import evidence_of
from rszoo.hub.kinds import kind_of
from rszoo.theory.rounding import as_radius
from rszoo.training.tracking.models import WEIGHTS, logged_model
from rszoo.training.tracking.store import Store, reason_of

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["CANDIDATE", "CHAMPION", "Registration", "register", "registered_name", "registration"]

CANDIDATE, CHAMPION = "candidate", "champion"
_TAG = "rszoo."
_RULE = (
    "Models for {name} (data set and noise level). `candidate`: the newest. `champion`: the "
    "highest ACR among those certified alike (inputs, n, alpha, radii, bound) and not collapsed, "
    "under the protocol with the most inputs and draws; of two equals the older."
)


@dataclass(frozen=True)
class Registration:
    """A bundle's entry in the registry.

    Attributes:
        name: of the registered model.
        version: of it.
        aliases: that point to the version.
    """

    name: str
    version: int
    aliases: tuple[str, ...]

    def __str__(self) -> str:
        aliases = f" ({', '.join(self.aliases)})" if self.aliases else ""
        return f"{self.name} version {self.version}{aliases}"


def registered_name(bundle: Bundle) -> str | None:
    """Return the name of a bundle's registered model; None for what is only part of a model."""
    from rszoo.data.image_set import short_name

    config = bundle.config
    if not kind_of(bundle).is_model:
        return None
    noise = config.kind if config.noise is None else as_radius(config.noise)
    return f"{short_name(config.dataset)}-{noise}"


def register(store: Store, bundle: Bundle) -> Registration | None:
    """Put a bundle and its certificates into the registry, and settle the aliases.

    A bundle of the same weights is registered once, however often this is called.

    Args:
        store: open.
        bundle: finished.

    Returns:
        Its entry; None for what is only part of a model.

    Raises:
        RszooError: the registry does not take it. Neither the bundle nor its run have changed.
    """
    from mlflow import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    name = registered_name(bundle)
    if name is None:
        return None
    try:
        with store.lock():
            version = _version(store, name, bundle)
            if bundle.evidence is not None:
                _tag_certificates(version, evidence_of(bundle))
            _settle(name)
            return registration(store, bundle)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise RszooError(
            f"MLflow's registry did not take {bundle.id}: {reason_of(error)}"
        ) from error


def registration(store: Store, bundle: Bundle) -> Registration | None:
    """Return a bundle's entry in the registry of an open store, if it has one."""
    from mlflow import MlflowClient

    name = registered_name(bundle)
    version = name and _find(name, bundle)
    if not name or not version:
        return None
    aliases = MlflowClient().get_registered_model(name).aliases
    pointing = sorted(alias for alias, v in aliases.items() if int(v) == int(version.version))
    return Registration(name, int(version.version), tuple(pointing))


def _versions(name: str) -> "list[ModelVersion]":
    """Return the versions of a registered model, the oldest first."""
    from mlflow import MlflowClient

    found = MlflowClient().search_model_versions(f"name = '{name}'", max_results=10_000)
    return sorted(found, key=lambda version: int(version.version))


def _find(name: str, bundle: Bundle) -> "ModelVersion | None":
    """Return the newest version with the bundle's weights."""
    same = [v for v in _versions(name) if v.tags.get(WEIGHTS) == bundle.weights_digest]
    return same[-1] if same else None


def _version(store: Store, name: str, bundle: Bundle) -> "ModelVersion":
    """Return the version of a bundle, made if need be."""
    from mlflow import MlflowClient

    if version := _find(name, bundle):
        return version
    client = MlflowClient()
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name, description=_RULE.format(name=name))
    model = logged_model(store, bundle)
    config = bundle.config
    return client.create_model_version(
        name,
        source=f"models:/{model.model_id}",
        run_id=model.source_run_id,
        model_id=model.model_id,
        description=f"{config.name}: {config.method}, {config.summary}",
        tags={
            WEIGHTS: bundle.weights_digest,
            f"{_TAG}bundle": str(bundle.path.resolve()),
            f"{_TAG}method": config.method,
        },
    )


def _tag_certificates(version: "ModelVersion", log: LogTable) -> None:
    from mlflow import MlflowClient

    for key, value in _certified(log).items():
        MlflowClient().set_model_version_tag(version.name, version.version, _TAG + key, value)


def _certified(log: LogTable) -> dict[str, str]:
    """Return what the rule for the champion looks at, as tags."""
    known = summary(log)
    return {
        "acr": repr(known.acr),
        "images": str(known.images),
        "n": str(known.n),
        "alpha": str(known.alpha),
        "every_radius": str(log.tested is None),
        "protocol": protocol_digest(log),
        "collapsed": str(known.collapsed is not None),
        "bound": known.bound,
    }


def _settle(name: str) -> None:
    """Let the aliases point to where the rules say."""
    from mlflow import MlflowClient

    versions, client = _versions(name), MlflowClient()
    client.set_registered_model_alias(name, CANDIDATE, str(versions[-1].version))
    best = _champion(versions)
    if best is not None:
        client.set_registered_model_alias(name, CHAMPION, str(best.version))


def _champion(versions: "Sequence[ModelVersion]") -> "ModelVersion | None":
    """Return the champion of some versions, oldest first; None where none is certified."""
    certified = [(rank, version) for version in versions if (rank := _rank(version))]
    if not certified:
        return None
    protocol = max(certified, key=lambda entry: entry[0][:-1])[1].tags[f"{_TAG}protocol"]
    alike = [e for e in certified if e[1].tags[f"{_TAG}protocol"] == protocol]
    return max(alike, key=lambda entry: entry[0][-1])[1]  # the first of equals


def _rank(version: "ModelVersion") -> tuple[bool, int, int, bool, float, float] | None:
    """Return the weight of a version's protocol, and last its ACR; None where it cannot win."""
    tags = {key.removeprefix(_TAG): value for key, value in version.tags.items()}
    if tags.get("collapsed") == "True":
        return None
    try:
        published = tags.get("bound", ONE_SIDED) == ONE_SIDED
        weight = (tags["every_radius"] == "True", int(tags["images"]), int(tags["n"]), published)
        tags["protocol"]
        return *weight, -float(tags["alpha"]), float(tags["acr"])
    except (KeyError, ValueError):  # not certified, or somebody's own tags
        return None

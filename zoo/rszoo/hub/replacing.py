"""What a push may replace by itself: an older version of the same model, no evidence lost."""

from pathlib import Path

from rszoo.errors import DataError, HubError, RszooError
from rszoo.hub import remote
from rszoo.hub.bundle import Bundle
from rszoo.hub.config import BundleConfig
from rszoo.hub.evidence import evidence_of, lost
from rszoo.hub.files import MANIFEST, ONNX, RECORD, WEIGHTS
from rszoo.hub.pull import pull_record
from rszoo.theory.rounding import as_stated

__all__ = ["check_replaceable"]

_REMEDY = "push it to another place, or replace what is there with --replace"


def check_replaceable(head: remote.Head, bundle: Bundle) -> None:
    """Refuse to replace another model on a hub, or certificates that the new one lacks.

    Args:
        head: what is there.
        bundle: what is to take its place.

    Raises:
        RszooError: there is a model of another kind, method, data set or noise level, or one that
            cannot be read; or it is certified, and the bundle is not, or, of the same weights,
            lacks some of its certificates (`rszoo.hub.evidence.lost`).
        HubError: it cannot be fetched.
    """
    repo = head.id.repo
    if MANIFEST not in head.files:
        if foreign := sorted({*RECORD, WEIGHTS, ONNX} & set(head.files)):
            raise RszooError(f"{repo} holds another model, with {', '.join(foreign)}: {_REMEDY}")
        return
    try:
        there = pull_record(head.id)
        less = _lost(there, bundle)
    except HubError:
        raise
    except RszooError as error:
        raise RszooError(f"{repo} holds what cannot be read ({error}): {_REMEDY}") from error
    if _model(there.config) != _model(bundle.config):
        raise RszooError(
            f"{repo} holds {_described(there.config)}, and {bundle.id} is "
            f"{_described(bundle.config)}: {_REMEDY}"
        )
    if less:
        raise RszooError(
            f"{repo} has certificates of {less} inputs of which {bundle.id} has none from as many "
            f"draws: {_REMEDY}"
        )


def _model(config: BundleConfig) -> tuple[object, ...]:
    """Return what all versions of one model share; where its images lay is not among it."""
    return config.kind, config.method, Path(config.dataset).name, config.noise


def _described(config: BundleConfig) -> str:
    kind, method, dataset, _ = _model(config)
    sigma = "" if config.noise is None else f" at sigma {as_stated(config.noise)}"
    return f"a {kind} model by {method} for {dataset}{sigma}"


def _lost(there: Bundle, bundle: Bundle) -> int:
    """Return of how many inputs the certificates would be gone from the newest version.

    Those of other weights say nothing of the new ones, and are not missed where the new ones are
    certified.
    """
    if there.evidence is None:
        return 0
    try:
        old = evidence_of(there)
    except DataError:  # nobody can use it
        return 0
    if bundle.evidence is None:
        return len(old)
    return 0 if there.weights_digest != bundle.weights_digest else lost(old, evidence_of(bundle))

"""Certified numbers of a model: those that its certificates give, or those that its card states.

What a card states is in its `model-index`, as results of the types that rszoo writes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rszoo.certificates.bound import known_bound, most_draws
from rszoo.certificates.kind import ONE_SIDED
from rszoo.evaluation.data_set import DataSet
from rszoo.evaluation.metrics import Summary
from rszoo.hub.stated import is_possible

__all__ = ["Certified", "certified", "computed"]

_ACCURACY = "certified_accuracy"
_ACR = ("acr", "average_certified_radius")


@dataclass(frozen=True, kw_only=True)
class Certified:
    """The certified results of a model on a data set, at one noise level.

    Attributes:
        dataset: its name.
        norm: of the radii.
        images: how many inputs, such as "320 of 360"; "-" where not said.
        sigma, n, alpha: noise level, draws per input, failure probability; None where not said.
        bound: what the certificates bound, see `rszoo.certificates.bound`.
        acr: average certified radius; None where not said.
        accuracy: radius -> certified accuracy there, in [0, 1].
        complete: whether no input is known to be missing.
        checked: whether all this comes from certificates, rather than from a card.
        collapsed: whether the certificates are those of a collapsed model, see
            `rszoo.evaluation.collapse`.
    """

    dataset: str
    norm: str
    images: str
    sigma: float | None
    n: float | None
    alpha: float | None
    acr: float | None
    accuracy: dict[float, float]
    complete: bool
    checked: bool
    collapsed: bool = False
    bound: str = ONE_SIDED


def computed(known: Summary, about: DataSet) -> Certified:
    """Return the certified numbers of a model from the summary of its certificates."""
    return Certified(
        dataset=str(about),
        norm="L2",
        images=known.coverage.fraction,
        sigma=known.sigma,
        n=known.n,
        alpha=known.alpha,
        acr=known.acr,
        accuracy=known.by_radius(),
        complete=known.coverage.complete,
        checked=True,
        collapsed=known.collapsed is not None,
        bound=known.bound,
    )


def certified(metadata: dict[str, Any]) -> list[Certified]:
    """Return the certified numbers of a card; what is malformed or impossible is left out."""
    groups: dict[tuple[str, str, float | None, str], list[dict[str, Any]]] = {}
    for dataset, metric in _metrics(metadata):
        args = _dict(metric.get("args"))
        key = (
            dataset,
            str(args.get("norm", "l2")).upper(),
            _number(args.get("sigma")),
            known_bound(args.get("bound")),
        )
        groups.setdefault(key, []).append(metric)
    found = [_certified(*key, metrics) for key, metrics in groups.items()]
    return sorted(
        (one for one in found if (one.accuracy or one.acr is not None) and _possible(one)),
        key=lambda one: (one.dataset, one.norm, one.sigma or 0.0, one.bound),
    )


def _possible(one: Certified) -> bool:
    """Return whether the numbers can be true; of other norms than L2 nothing is known."""
    bounds = {"sigma": one.sigma, "n": most_draws(one.bound, one.n), "alpha": one.alpha}
    return one.norm != "L2" or is_possible(one.acr, one.accuracy, **bounds)


def _metrics(metadata: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for model in _dicts(metadata.get("model-index")):
        for result in _dicts(model.get("results")):
            dataset = _dict(result.get("dataset"))
            name = str(dataset.get("name") or dataset.get("type") or "-")
            for metric in _dicts(result.get("metrics")):
                yield name, metric


def _certified(
    dataset: str, norm: str, sigma: float | None, bound: str, metrics: list[dict[str, Any]]
) -> Certified:
    accuracy: dict[float, float] = {}
    acr: float | None = None
    shared: dict[str, float | None] = {"n": None, "alpha": None, "images": None}
    for metric in metrics:
        args, value = _dict(metric.get("args")), _number(metric.get("value"))
        kind = str(metric.get("type", "")).lower().replace("-", "_")
        radius = _number(args.get("radius"))
        if value is None or value < 0:
            continue
        if kind == _ACCURACY and radius is not None and radius >= 0 and value <= 1:
            accuracy[radius] = value
        elif kind in _ACR:
            acr = value
        for name in shared:
            shared[name] = shared[name] or _number(args.get(name))
    return Certified(
        dataset=dataset,
        norm=norm,
        sigma=sigma,
        bound=bound,
        acr=acr,
        accuracy=dict(sorted(accuracy.items())),
        n=shared["n"],
        alpha=shared["alpha"],
        images="-" if shared["images"] is None else f"{int(shared['images']):,}",
        complete=False,
        checked=False,
    )


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < 1e15 and math.isfinite(value) else None


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

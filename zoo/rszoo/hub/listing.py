"""The models of rszoo on a hub, with the numbers of their cards."""

import math
from dataclasses import dataclass

from huggingface_hub import EvalResult, ModelInfo

from rszoo import methods
from rszoo.hub import remote

__all__ = ["Listed", "listed"]


@dataclass(frozen=True, kw_only=True)
class Listed:
    """The entries of the card of a model, none of which is checked.

    Attributes:
        id: `org/name`.
        commit: the newest.
        dataset, method: names; None where the card does not say.
        sigma, n, alpha, images: of the certificates; None where the card does not say.
        acr: average certified radius; None without.
        certified_accuracy: share by radius.
    """

    id: str
    commit: str | None
    dataset: str | None
    method: str | None
    sigma: float | None
    n: int | None
    alpha: float | None
    images: int | None
    acr: float | None
    certified_accuracy: dict[float, float]


def listed(
    *,
    author: str | None = None,
    search: str | None = None,
    dataset: str | None = None,
    method: str | None = None,
    sigma: float | None = None,
) -> list[Listed]:
    """Return the models on the hub that match, those with the largest ACR first.

    Args:
        author: user or organisation.
        search: part of the id.
        dataset, method, sigma: as their cards say.

    Raises:
        HubError: the hub cannot be reached.
    """
    found = [
        _listed(info)
        for info in remote.models(author=author, search=search, tags=[method] if method else [])
    ]
    wanted = {"dataset": dataset, "sigma": sigma}
    matching = [
        one
        for one in found
        if all(value is None or getattr(one, key) == value for key, value in wanted.items())
    ]
    return sorted(matching, key=lambda one: (-(one.acr or 0.0), one.id))


def _listed(info: ModelInfo) -> Listed:
    results = _readable(info.card_data.eval_results if info.card_data else None)
    about = results[0].metric_args or {} if results else {}
    acr = [one.metric_value for one in results if one.metric_type == "average_certified_radius"]
    known = methods.names()
    return Listed(
        id=info.id,
        commit=info.sha,
        dataset=results[0].dataset_name if results else None,
        method=next((tag for tag in info.tags or () if tag in known), None),
        sigma=_number(about.get("sigma")),
        n=_whole(about.get("n")),
        alpha=_number(about.get("alpha")),
        images=_whole(about.get("images")),
        acr=_number(acr[0]) if acr else None,
        certified_accuracy={
            radius: one.metric_value
            for one in results
            if one.metric_type == "certified_accuracy"
            and (radius := _number((one.metric_args or {}).get("radius"))) is not None
        },
    )


def _readable(results: list[EvalResult] | None) -> list[EvalResult]:
    """Return the results that have a number: cards are other people's."""
    return [one for one in results or () if _number(one.metric_value) is not None]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None

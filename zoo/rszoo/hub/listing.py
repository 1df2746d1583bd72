"""The models of rszoo on a hub, with the numbers that their cards state.

Nothing of a model is fetched: whoever wants numbers that somebody has checked reads its
certificates (`rszoo leaderboard --hub`). So no such number decides the order.
"""

import math
from dataclasses import dataclass

from huggingface_hub import EvalResult, ModelInfo

from rszoo import methods
from rszoo.certificates.bound import known_bound, most_draws
from rszoo.hub import remote
from rszoo.hub.stated import is_possible

__all__ = ["Listed", "listed"]


@dataclass(frozen=True, kw_only=True)
class Listed:
    """The entries of the card of a model, stated by its author.

    Attributes:
        id: `org/name`.
        commit: the newest.
        dataset, method: names; None where the card does not say.
        sigma, n, alpha, images: of the certificates; None where the card does not say.
        bound: what they bound, see `rszoo.certificates.bound`.
        acr: average certified radius; None without, and where the card states what cannot be.
        certified_accuracy: share by radius; none where the card states what cannot be.
        checked: whether the numbers are more than what the card says, which they never are.
    """

    id: str
    commit: str | None
    dataset: str | None
    method: str | None
    sigma: float | None
    n: int | None
    alpha: float | None
    images: int | None
    bound: str
    acr: float | None
    certified_accuracy: dict[float, float]
    checked: bool = False


def listed(
    *,
    author: str | None = None,
    search: str | None = None,
    dataset: str | None = None,
    method: str | None = None,
    sigma: float | None = None,
) -> list[Listed]:
    """Return the models on the hub that match, in the order of their ids.

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
    return sorted(matching, key=lambda one: one.id)


def _listed(info: ModelInfo) -> Listed:
    results = _readable(info.card_data.eval_results if info.card_data else None)
    about = _arguments(results[0]) if results else {}
    acrs = [one.metric_value for one in results if one.metric_type == "average_certified_radius"]
    acr = _number(acrs[0]) if acrs else None
    accuracy = {
        radius: float(one.metric_value)
        for one in results
        if one.metric_type == "certified_accuracy"
        and (radius := _number(_arguments(one).get("radius"))) is not None
    }
    sigma, n, alpha = (
        _number(about.get("sigma")),
        _whole(about.get("n")),
        _number(about.get("alpha")),
    )
    bound = known_bound(about.get("bound"))
    most = most_draws(bound, n)
    possible = is_possible(acr, accuracy, sigma=sigma, n=most, alpha=alpha)
    known = methods.names()
    return Listed(
        id=info.id,
        commit=info.sha,
        dataset=name if results and isinstance(name := results[0].dataset_name, str) else None,
        method=next((tag for tag in info.tags or () if tag in known), None),
        sigma=sigma,
        n=n,
        alpha=alpha,
        images=_whole(about.get("images")),
        bound=bound,
        acr=acr if possible else None,
        certified_accuracy=accuracy if possible else {},
    )


def _readable(results: list[EvalResult] | None) -> list[EvalResult]:
    """Return the results that have a number: cards are other people's."""
    return [one for one in results or () if _number(one.metric_value) is not None]


def _arguments(result: EvalResult) -> dict[str, object]:
    """Return what a result says of its metric; none where that is no mapping."""
    found: object = result.metric_args
    return found if isinstance(found, dict) else {}


def _number(value: object) -> float | None:
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer may have any number of digits
        return None
    return number if math.isfinite(number) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None

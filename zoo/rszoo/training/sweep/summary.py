"""What a sweep came to: each method and noise level over its seeds."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rszoo.evaluation.metrics import differences, summary
from rszoo.hub.bundle import Bundle
from rszoo.hub.evidence import evidence_of
from rszoo.training.sweep.run import Outcome

__all__ = ["Spread", "SummaryRow", "summarized"]


@dataclass(frozen=True)
class Spread:
    """Values of equal trainings with different seeds.

    Attributes:
        mean: of all.
        deviation: the sample standard deviation; None for a single value.
    """

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Sequence[float | None]) -> "Spread | None":
        """Return the spread of values; None where there are none, or one is not known."""
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return None
        return cls(statistics.mean(known), statistics.stdev(known) if len(known) > 1 else None)


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """One method at one noise level.

    Attributes:
        method, sigma: of the recipe.
        seeds: of the bundles that there are.
        noisy_accuracy: share of the test images that are right under one noise draw.
        acr: average certified radius, where all seeds are certified, and in the same way.
        seconds: of the trainings.
    """

    method: str
    sigma: float
    seeds: tuple[int, ...]
    noisy_accuracy: Spread | None
    acr: Spread | None
    seconds: Spread | None


def summarized(outcomes: Iterable[Outcome]) -> list[SummaryRow]:
    """Return a row for each method and sigma that a sweep was asked for and has bundles of."""
    groups: dict[tuple[str, float], list[tuple[int, Bundle]]] = {}
    for one in outcomes:
        if one.job.asked and one.bundle is not None:
            recipe = one.job.recipe
            key = recipe.method, recipe.sigma
            groups.setdefault(key, []).append((recipe.seed, one.bundle))
    rows = []
    for (method, sigma), found in sorted(groups.items(), key=lambda entry: entry[0]):
        bundles = [bundle for _, bundle in found]
        records = [bundle.manifest.origin.training for bundle in bundles]
        rows.append(
            SummaryRow(
                method=method,
                sigma=sigma,
                seeds=tuple(sorted(seed for seed, _ in found)),
                noisy_accuracy=Spread.of([record.noisy_accuracy for record in records]),
                acr=_acr(bundles),
                seconds=Spread.of([record.seconds for record in records]),
            )
        )
    return rows


def _acr(bundles: Sequence[Bundle]) -> Spread | None:
    """Return the spread of the ACR, which is comparable only under one protocol."""
    if any(bundle.evidence is None for bundle in bundles):
        return None
    logs = [evidence_of(bundle) for bundle in bundles]
    return None if differences(logs) else Spread.of([summary(log).acr for log in logs])

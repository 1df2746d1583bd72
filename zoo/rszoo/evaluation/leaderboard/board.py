"""Entries in groups of one data set, sigma and bound, with places for what was certified alike.

The ACR grows with n and with alpha, and depends on which inputs are certified. A group therefore
states one protocol (`rszoo.evaluation.leaderboard.places`). Entries under it have places; every
other one stands below, and says why it has none. What was certified at given radii says nothing of
any other radius, and has a group of its own.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rszoo.certificates.bound import bound_order
from rszoo.evaluation.leaderboard.entry import Entry
from rszoo.evaluation.leaderboard.places import differing, reference, unfit, usual
from rszoo.evaluation.metrics import Summary, summary

__all__ = ["Group", "Row", "grouped", "selected"]

_STEP = 0.25
_MOST_RADII = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """An entry in its group.

    Attributes:
        entry: what is listed.
        place: by falling ACR, from 1; None for what has none. Equal ones have the same.
        accuracies: certified accuracy at the group's radii; None where it is not known.
        intervals: of each, at 95 % confidence; None where it is not known.
        notes: why it has no place, and what else is to be known of it.
    """

    entry: Entry
    place: int | None
    accuracies: tuple[float | None, ...]
    intervals: tuple[tuple[float, float] | None, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Entries of one data set, one sigma and one bound, at every radius or at the same given ones.

    Those with a place come first, by it, then other models at hand, by name, then published
    numbers, by falling ACR.

    Attributes:
        dataset, sigma: None where the logs do not say.
        checked: whether the images are known to be that data set's; see `Entry`.
        bound: what the certificates bound, see `rszoo.certificates.bound`.
        given: the radii that alone were asked for; None where every radius was.
        images, n, alpha: of the protocol that has places; where none has, of one of most owners.
        radii: where the certified accuracy is given.
        rows: at least one of a model at hand.
    """

    dataset: str | None
    checked: bool
    sigma: float | None
    bound: str
    given: tuple[float, ...] | None
    images: int
    n: int | None
    alpha: float | None
    radii: tuple[float, ...]
    rows: tuple[Row, ...]


def selected(
    entries: Iterable[Entry],
    *,
    dataset: str | None = None,
    sigma: float | None = None,
    method: str | None = None,
) -> list[Entry]:
    """Return the entries of one data set, one sigma, one method; None takes all."""
    return [
        entry
        for entry in entries
        if dataset in (None, entry.dataset)
        and sigma in (None, entry.summary.sigma)
        and method in (None, entry.method)
    ]


def grouped(entries: Sequence[Entry], published: Sequence[Entry] = ()) -> list[Group]:
    """Return the groups, by data set, sigma, bound and given radii.

    Published entries join those that are one-sided and at every radius.
    """
    keys = {_key(entry) for entry in entries}
    return [
        _group(
            [entry for entry in entries if _key(entry) == key],
            [entry for entry in published if _key(entry)[:4] == key[:4]],
        )
        for key in sorted(
            keys,
            key=lambda key: (
                key[0] is None,
                key[0],
                key[1] or math.inf,
                bound_order(key[2]),
                key[3] or (),
                not key[4],
            ),
        )
    ]


_Key = tuple[str | None, float | None, str, tuple[float, ...] | None, bool]


def _key(entry: Entry) -> _Key:
    given = None if entry.log is None else entry.log.given
    return entry.dataset, entry.summary.sigma, entry.summary.bound, given, entry.checked


def _group(entries: Sequence[Entry], published: Sequence[Entry]) -> Group:
    shown = reference(entries) or usual(entries)
    radii = _radii(entries, shown)
    against = {id(entry): [*unfit(entry), *differing(entry, shown)] for entry in entries}
    placed = [entry.summary.acr for entry in entries if not against[id(entry)]]

    def row(entry: Entry) -> Row:
        place = 1 + sum(acr > entry.summary.acr for acr in placed)
        why_none = against[id(entry)]
        notes = [*why_none, *_remarks(entry)]
        return _row(entry, radii, place=None if why_none else place, notes=notes)

    reported = [
        _row(entry, radii, place=None, notes=list(differing(entry, shown))) for entry in published
    ]
    return Group(
        dataset=shown.dataset,
        checked=shown.checked,
        sigma=shown.summary.sigma,
        bound=shown.summary.bound,
        given=None if shown.log is None else shown.log.given,
        images=shown.summary.images,
        n=shown.summary.n,
        alpha=shown.summary.alpha,
        radii=radii,
        rows=tuple(sorted([*map(row, entries), *reported], key=_order)),
    )


def _order(row: Row) -> tuple[object, ...]:
    entry = row.entry
    if row.place is not None:
        return 0, row.place, entry.model
    return (1, 0, entry.model) if entry.paper is None else (2, -entry.summary.acr, entry.model)


def _radii(entries: Sequence[Entry], usual: Entry) -> tuple[float, ...]:
    """Return some of the given radii, or 0, 0.25, ... up to the largest right answer's."""
    if usual.log and usual.log.given:
        return usual.log.given[:: math.ceil(len(usual.log.given) / _MOST_RADII)]
    largest = max(
        float((entry.log.radius * entry.log.correct).max(initial=0.0))
        for entry in entries
        if entry.log
    )
    step = _STEP
    while largest / step >= _MOST_RADII:
        step *= 2
    return tuple(step * i for i in range(math.floor(largest / step) + 1))


def _row(entry: Entry, radii: Sequence[float], *, place: int | None, notes: Sequence[str]) -> Row:
    if entry.log is None:
        accuracies = tuple(_published_at(entry.summary, radius) for radius in radii)
        intervals = tuple(None for _ in radii)
    else:
        at = summary(entry.log, radii)
        accuracies, intervals = at.certified_accuracy, at.intervals
    return Row(
        entry=entry, place=place, accuracies=accuracies, intervals=intervals, notes=tuple(notes)
    )


def _remarks(entry: Entry) -> Iterator[str]:
    """Yield what is to be known of an entry, whether it has a place or not."""
    if entry.without_p:
        yield f"p is not known: {entry.without_p}"


def _published_at(published: Summary, radius: float) -> float | None:
    """Return the certified accuracy at a radius; no log has any beyond its last."""
    if radius > published.radii[-1]:
        return 0.0
    return published.by_radius().get(radius)

"""Entries in groups of one data set and one sigma, with a note wherever one cannot be compared.

The ACR grows with n and with alpha, and depends on which inputs are certified. A group therefore
states the protocol of most of its models, and every entry made under another one says so.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rszoo.evaluation.leaderboard.entry import Entry
from rszoo.evaluation.metrics import Summary, summary
from rszoo.theory.rounding import as_stated

__all__ = ["Group", "Row", "grouped", "selected"]

_STEP = 0.25
_MOST_RADII = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """An entry in its group.

    Attributes:
        entry: what is listed.
        accuracies: certified accuracy at the group's radii; None where it is not known.
        intervals: of each, at 95 % confidence; None where it is not known.
        notes: in what the entry deviates from the group's protocol; empty when it does not.
    """

    entry: Entry
    accuracies: tuple[float | None, ...]
    intervals: tuple[tuple[float, float] | None, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Entries of one data set and one sigma, models at hand first, each kind by falling ACR.

    Attributes:
        dataset, sigma: None where the logs do not say.
        checked: whether the images are known to be that data set's; see `Entry`.
        images, n, alpha: of the group's protocol, that of most of its models at hand.
        radii: where the certified accuracy is given.
        rows: at least one of a model at hand.
    """

    dataset: str | None
    checked: bool
    sigma: float | None
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
    """Return the groups, by data set and sigma; published entries join those that there are."""
    keys = {_key(entry) for entry in entries}
    return [
        _group(
            [entry for entry in entries if _key(entry) == key],
            [entry for entry in published if _key(entry)[:2] == key[:2]],
        )
        for key in sorted(
            keys, key=lambda key: (key[0] is None, key[0], key[1] or math.inf, not key[2])
        )
    ]


def _key(entry: Entry) -> tuple[str | None, float | None, bool]:
    return entry.dataset, entry.summary.sigma, entry.checked


def _group(entries: Sequence[Entry], published: Sequence[Entry]) -> Group:
    usual = _usual(entries)
    radii = _radii(entries, usual)
    ordered = [*sorted(entries, key=_rank), *sorted(published, key=_rank)]
    return Group(
        dataset=usual.dataset,
        checked=usual.checked,
        sigma=usual.summary.sigma,
        images=usual.summary.images,
        n=usual.summary.n,
        alpha=usual.summary.alpha,
        radii=radii,
        rows=tuple(_row(entry, usual, radii) for entry in ordered),
    )


def _rank(entry: Entry) -> tuple[float, str]:
    return -entry.summary.acr, entry.model


def _protocol(entry: Entry) -> tuple[object, ...]:
    tested = entry.log.tested if entry.log else None
    return entry.inputs, entry.summary.n, entry.summary.alpha, tested


def _usual(entries: Sequence[Entry]) -> Entry:
    """Return an entry under the protocol of most; of equally many, the one with most work."""
    counts = Counter(_protocol(entry) for entry in entries)
    return max(
        entries,
        key=lambda one: (
            counts[_protocol(one)],
            one.summary.images,
            one.summary.n or 0,
            one.model,
        ),
    )


def _radii(entries: Sequence[Entry], usual: Entry) -> tuple[float, ...]:
    """Return the radii that were tested, or 0, 0.25, ... up to the largest right answer's."""
    if usual.log and usual.log.tested and len(usual.log.tested) <= _MOST_RADII:
        return usual.log.tested
    largest = max(
        float((entry.log.radius * entry.log.correct).max(initial=0.0))
        for entry in entries
        if entry.log
    )
    step = _STEP
    while largest / step >= _MOST_RADII:
        step *= 2
    return tuple(step * i for i in range(math.floor(largest / step) + 1))


def _row(entry: Entry, usual: Entry, radii: Sequence[float]) -> Row:
    if entry.log is None:
        accuracies = tuple(_published_at(entry.summary, radius) for radius in radii)
        intervals = tuple(None for _ in radii)
    else:
        at = summary(entry.log, radii)
        accuracies, intervals = at.certified_accuracy, at.intervals
    return Row(
        entry=entry,
        accuracies=accuracies,
        intervals=intervals,
        notes=tuple(_notes(entry, usual)),
    )


def _published_at(published: Summary, radius: float) -> float | None:
    """Return the certified accuracy at a radius; no log has any beyond its last."""
    if radius > published.radii[-1]:
        return 0.0 if radius % _STEP == 0 else None
    known = dict(zip(published.radii, published.certified_accuracy, strict=True))
    return known.get(radius)


def _notes(entry: Entry, usual: Entry) -> Iterable[str]:
    """Yield in what an entry differs from the usual protocol."""
    one, other = entry.summary, usual.summary
    if entry.log is not None and entry.log.kind.note is not None:
        yield entry.log.kind.note
    if one.images != other.images:
        yield f"{one.images:,} inputs, not {other.images:,}"
    elif entry.inputs not in (None, usual.inputs):
        yield f"other inputs, if as many ({one.images:,})"
    for name in ("n", "alpha"):
        mine, its = (getattr(of, name) for of in (one, other))
        if mine != its:
            stated = f"{name} not stated" if mine is None else f"{name} = {_number(mine)}"
            yield f"{stated}, not {_number(its)}" if its is not None else stated
    tested = entry.log.tested if entry.log else None
    if tested != (usual.log.tested if usual.log else None):
        yield _decided(tested)
    if entry.log is not None and entry.without_p:
        yield f"p is not known: {entry.without_p}"
    if entry.log is not None and entry.log.unfinished:
        yield "the log ends in an unfinished row, which was left out"


def _decided(tested: Sequence[float] | None) -> str:
    if tested is None:
        return "every radius, not some radii only"
    return f"decided at {len(tested)} radii only: between them everything is a lower bound"


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else as_stated(value)

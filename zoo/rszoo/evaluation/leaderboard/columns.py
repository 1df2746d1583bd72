"""What a leaderboard shows of a group: the same columns and cells on every output."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from rszoo.certificates.kind import ONE_SIDED
from rszoo.errors import listed
from rszoo.evaluation.data_set import DataSet
from rszoo.evaluation.formatting import as_duration
from rszoo.evaluation.leaderboard.board import Group, Row
from rszoo.evaluation.leaderboard.entry import Entry
from rszoo.theory.rounding import (
    as_acr,
    as_cost,
    as_error,
    as_interval,
    as_radius,
    as_share,
    as_share_at_most,
    as_stated,
)

__all__ = [
    "MEANINGS",
    "UNKNOWN",
    "Cell",
    "Column",
    "columns",
    "description",
    "heading",
    "labels",
    "letters",
    "marks",
    "noise",
    "protocol",
]

UNKNOWN = "-"

#: What every leaderboard says of itself.
MEANINGS = (
    "place: by ACR, among complete logs of the same images (100 or more), n and alpha (0.001 at "
    "most), of models that have not collapsed. Which protocol has places, most owners decide, "
    "each counted once; of equally many, more inputs, then every radius, then the n nearest to "
    "100,000. What has no place says why; published numbers are for reference.",
    "ACR: average certified radius, wrong and abstained inputs counting 0, rounded down; ± its "
    "standard error over the inputs. It grows with n, without any change of the model: compare it "
    "at equal n, alpha and inputs only.",
    "r: certified accuracy at that L2 radius in %, with its exact 95 % interval. At r = 0 it is "
    "the clean accuracy under noise: right and not abstained. What was certified at given radii "
    "only has tables of its own.",
    "p: % of the inputs whose selected class is the true one and gets at least this share of the "
    "draws; below, with the wrong ones. Of models with one noise level only: an estimate that "
    "does not grow with n, except for 1 - 1/n, all draws but one at most.",
    "Costs: training, what the epochs took on the hardware below, without the networks that they "
    "build on; draws, those that estimate p: per input, and below in all.",
)


_NOT_STATED = "not stated"


@dataclass(frozen=True)
class Cell:
    """One value: its text, what stands smaller below it, and what it is sorted by."""

    text: str
    below: str = ""
    value: float | None = None


@dataclass(frozen=True)
class Column:
    """One column: its heading, and a cell per row of the group."""

    head: str
    cells: tuple[Cell, ...]


def heading(group: Group) -> str:
    """Return which data set and sigma a group is about, and which bound if not the usual one."""
    sigma = noise(group)
    stated = f"sigma {sigma}" if sigma == _NOT_STATED else f"sigma = {sigma}"
    called = DataSet(name=group.dataset, split=None, checked=group.checked)
    bound = "" if group.bound == ONE_SIDED else f", {group.bound} bound"
    return f"{called}, {stated}{bound}{_at(group.given)}"


def _at(given: Sequence[float] | None) -> str:
    """Return at which radii alone a group was certified; "" where at every one."""
    if given is None:
        return ""
    named = listed(map(as_radius, given))
    return f", at radi{'us' if len(given) == 1 else 'i'} {named} only"


def noise(group: Group) -> str:
    """Return the noise level; only logs that do not say n do not say theirs."""
    if group.sigma is not None:
        return as_stated(group.sigma)
    return _NOT_STATED if group.n is None else "several"


def protocol(group: Group) -> str:
    """Return how the models with a place were certified, or, without any, most of a group."""
    n = "n not stated" if group.n is None else f"n = {group.n:,}"
    alpha = "alpha not stated" if group.alpha is None else f"alpha = {as_stated(group.alpha)}"
    places = "" if any(row.place for row in group.rows) else "; no entry has a place"
    return f"{n}, {alpha}, {group.bound} bound, inputs: {group.images:,}{places}"


def description(entry: Entry) -> list[str]:
    """Return how a model was made, as far as it is known, the method first."""
    known = [entry.method, entry.profile, entry.network, entry.paper]
    return [fact for fact in known if fact]


def labels(group: Group) -> list[str]:
    """Return what rows are called beside their tables: by their place, or by a letter."""
    without = [row for row in group.rows if row.place is None]
    given = {id(row): letters(i) for i, row in enumerate(without)}
    return [str(row.place) if row.place else given[id(row)] for row in group.rows]


def letters(number: int) -> str:
    """Return a, b, ..., z, aa, ab, ...

    >>> letters(0), letters(25), letters(26)
    ('a', 'z', 'aa')
    """
    before, last = divmod(number, len(ascii_lowercase))
    return (letters(before - 1) if before else "") + ascii_lowercase[last]


def marks(group: Group) -> tuple[list[str], list[str]]:
    """Return a mark per row, "" for most, and the notes that they point to, each once."""
    notes: list[str] = []
    given = []
    for row in group.rows:
        note = "; ".join(row.notes)
        if note and note not in notes:
            notes.append(note)
        given.append(f"[{notes.index(note) + 1}]" if note else "")
    return given, [f"[{i}] {note}" for i, note in enumerate(notes, start=1)]


def columns(group: Group) -> list[Column]:
    """Return the columns of a group, from the ACR on."""
    made: list[tuple[str, Callable[[Row], Cell]]] = [
        ("place", _place),
        ("ACR", _acr),
        ("n", lambda row: _count(row.entry.summary.n)),
        ("alpha", _alpha),
        ("inputs", _inputs),
        ("abstain %", _abstained),
        *((f"r {as_radius(radius)}", _accuracy(i)) for i, radius in enumerate(group.radii)),
        *_p_columns(group),
        *_training_column(group),
        ("draws", _draws),
    ]
    return [Column(head, tuple(cell(row) for row in group.rows)) for head, cell in made]


def _place(row: Row) -> Cell:
    return Cell(UNKNOWN) if row.place is None else Cell(str(row.place), value=row.place)


def _acr(row: Row) -> Cell:
    one = row.entry.summary
    # Tested at some radii only, a larger one may hold as well.
    bound = "" if one.undecided is None else ">= "
    error = "" if one.acr_se is None else f"± {as_error(one.acr_se)}"
    return Cell(bound + as_acr(one.acr), error, one.acr)


def _abstained(row: Row) -> Cell:
    share = row.entry.summary.abstained
    return Cell(as_share_at_most(share), value=share)


def _count(value: int | None) -> Cell:
    return Cell(UNKNOWN) if value is None else Cell(f"{value:,}", value=value)


def _inputs(row: Row) -> Cell:
    one = row.entry.summary
    return Cell(one.coverage.fraction, value=one.images)


def _alpha(row: Row) -> Cell:
    alpha = row.entry.summary.alpha
    return Cell(UNKNOWN) if alpha is None else Cell(as_stated(alpha), value=alpha)


def _training_column(group: Group) -> Sequence[tuple[str, Callable[[Row], Cell]]]:
    """Return the column of training times; none where no entry of the group has one."""
    if all(row.entry.seconds is None for row in group.rows):
        return []

    def cell(row: Row) -> Cell:
        entry = row.entry
        if entry.seconds is None:
            return Cell(UNKNOWN)
        return Cell(as_duration(entry.seconds), entry.hardware or "", entry.seconds)

    return [("training", cell)]


def _draws(row: Row) -> Cell:
    """Return the estimation draws per input, and in all."""
    one = row.entry.summary
    if one.draws is None:
        return Cell(UNKNOWN)
    return Cell(as_cost(one.draws), as_cost(one.draws * one.images), one.draws)


def _share(share: float | None, below: str = "") -> Cell:
    return Cell(UNKNOWN) if share is None else Cell(as_share(share), below, share)


def _accuracy(index: int) -> Callable[[Row], Cell]:
    def cell(row: Row) -> Cell:
        interval = row.intervals[index]
        return _share(row.accuracies[index], "" if interval is None else as_interval(interval))

    return cell


def _p_columns(group: Group) -> Sequence[tuple[str, Callable[[Row], Cell]]]:
    """Return the columns of the distribution of p; none where no log of the group has one."""
    known = [row.entry.p for row in group.rows if row.entry.p is not None]
    if not known:
        return []

    def at(index: int) -> Callable[[Row], Cell]:
        def cell(row: Row) -> Cell:
            p = row.entry.p
            return Cell(UNKNOWN) if p is None else _both(p.shares[index], p.right[index])

        return cell

    def nearly(row: Row) -> Cell:
        p = row.entry.p
        return Cell(UNKNOWN) if p is None else _both(*p.all_but_one)

    thresholds = enumerate(known[0].thresholds)
    return [*((f"p {as_stated(q)}", at(i)) for i, q in thresholds), ("p 1-1/n", nearly)]


def _both(share: float | None, right: float | None) -> Cell:
    return _share(right, "" if share is None else as_share(share))

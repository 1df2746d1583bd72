"""What certification logs say, as tables on the terminal."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from rszoo.theory.rounding import (
    as_acr,
    as_cost,
    as_difference,
    as_error,
    as_expected,
    as_interval,
    as_p_value,
    as_proportion,
    as_radius,
    as_range,
    as_share,
    as_share_at_most,
    as_stated,
)
from rszoo_cli.console import out, print_note

if TYPE_CHECKING:
    from rszoo.evaluation.log import LogTable
    from rszoo.evaluation.metrics import Difference, Summary
    from rszoo.evaluation.p_distribution import PDistribution

__all__ = [
    "columns",
    "print_at_once",
    "print_bound",
    "print_differences",
    "print_p",
    "print_summaries",
]

_UNKNOWN = "?"
_NOT_ASKED = "-"
_PADDING = 2


def print_summaries(summaries: Sequence["Summary"]) -> None:
    """Print what logs say: one table of their totals, one of certified accuracy per radius."""
    out.print(_totals(summaries))
    for entry in summaries:
        if entry.collapsed is not None:
            print_note(f"{entry.name}: collapsed: {entry.collapsed}", style="yellow")
        if entry.undecided is not None and entry.draws is not None:
            most = "n" if entry.n is None else f"{entry.n:,}"
            made = f"{as_cost(entry.draws)} of {most} draws per image"
            if entry.sigma is None:  # there are several networks, with n draws each
                made = f"{as_cost(entry.draws)} draws per image, of one network {most} at most"
            print_note(
                f"{entry.name}: {made}; {as_share_at_most(entry.undecided)} % undecided (n draws "
                "did not settle every radius)"
            )
    out.print()
    if len(summaries) == 1:
        out.print(_accuracies(summaries[0]))
    else:
        kind = _kind(summaries)
        out.print(f"{kind} accuracy in %, with its 95 % interval, at each radius\n")
        for table in _comparisons(summaries, out.width):
            out.print(table)
            out.print()
    if any(share is None for entry in summaries for share in entry.certified_accuracy):
        end = "\n" if len(summaries) == 1 else "\n\n"
        out.print(f"{_NOT_ASKED}: not asked, the log is of other radii only", end=end)


def _kind(summaries: Sequence["Summary"]) -> str:
    """Return what the radii are: all of a kind, see `_of_one_kind`."""
    return "nominal" if summaries[0].nominal else "certified"


def print_bound(bound: str, *, alone: bool) -> None:
    """Print what the certificates of the tables that follow bound, unless all have the usual one.

    Args:
        bound: see `rszoo.certificates.bound`.
        alone: whether no tables of other bounds are printed.
    """
    from rszoo.certificates.kind import ONE_SIDED

    if not alone or bound != ONE_SIDED:
        out.print(f"bound: {bound}\n", highlight=False)


def print_p(tables: Sequence["LogTable"]) -> None:
    """Print how often the selected class of an image gets how many of the draws."""
    from rszoo.evaluation.p_distribution import p_distribution, why_unknown

    if len(tables) == 1:
        out.print()
    known = [(table, p) for table in tables if (p := p_distribution(table)) is not None]
    if known:
        out.print("p, the share of the draws on an image's class: in % of the images at least\n")
        out.print(_distributions(known))
        if len(tables) > 1:
            out.print()
    for table in tables:
        reason = why_unknown(table)
        if reason is not None:
            print_note(f"{table.name}: p is not known: {reason}")


def _distributions(known: Sequence[tuple["LogTable", "PDistribution"]]) -> Table:
    heads = [as_stated(q) for q in known[0][1].thresholds]
    shown = columns("log", "class", *heads, "1 - 1/n", "median")
    for table, p in known:
        any_class, right = p.all_but_one
        median = as_proportion(p.quantiles[p.levels.index(0.5)])
        shown.add_row(Text(table.name), "any", *_shares(*p.shares, any_class), median)
        shown.add_row("", "right", *_shares(*p.right, right), "")
    return shown


def _sigma(entry: "Summary") -> str:
    """Return the noise level; only logs that do not say n do not say theirs."""
    if entry.sigma is not None:
        return as_stated(entry.sigma)
    return _UNKNOWN if entry.n is None else "several"


def _shares(*shares: float | None) -> list[str]:
    return [_UNKNOWN if share is None else as_share(share) for share in shares]


def print_at_once(tables: Sequence["LogTable"], radii: Sequence[float]) -> None:
    """Print how many certificates of each log may be wrong, and what holds of all at once."""
    if len(tables) == 1:
        out.print()
    for table in tables:
        for line in _together(table, radii):
            print_note(f"{table.name}: {line}")


def _together(table: "LogTable", radii: Sequence[float]) -> Iterator[str]:
    from rszoo.evaluation.simultaneous import (
        at_once,
        expected_wrong,
        why_not_at_once,
        why_not_expected,
    )

    wrong, together = expected_wrong(table), at_once(table, radii)
    if wrong is None:
        yield f"how many of its certificates may be wrong is not stated: {why_not_expected(table)}"
        return
    yield f"of {len(table):,} certificates {as_expected(wrong)} are expected to be wrong at most"
    if together is None:
        yield f"what holds of all at once is not stated: {why_not_at_once(table)}"
        return
    shares = ", ".join(map(as_share, together.certified_accuracy))
    yield (
        f"all at once, each at alpha / {together.inputs:,}: ACR {as_acr(together.acr)}, certified "
        f"accuracy {shares} % at {', '.join(map(as_radius, radii))}"
    )


def print_differences(tables: Sequence["LogTable"]) -> None:
    """Print by how much the ACR of each log differs from the first one's."""
    from rszoo.evaluation.metrics import paired_difference

    for table in tables[1:]:
        found = paired_difference(tables[0], table)
        if found is not None:
            print_note(_difference(found))


def _difference(found: "Difference") -> str:
    text = f"{found.second} - {found.first}: ACR {as_difference(found.acr)}"
    if found.low is not None and found.high is not None:
        return f"{text}, 95 % interval {as_range(found.low, found.high)}"
    if not found.up + found.down:
        return f"{text}, no image differs"
    return (
        f"{text}, no interval: {found.up + found.down} of {found.images:,} images differ, "
        f"{found.up} up and {found.down} down (sign test: p = {as_p_value(found.p_value)})"
    )


def _totals(summaries: Sequence["Summary"]) -> Table:
    head = "nominal ACR" if _kind(summaries) == "nominal" else "ACR"
    table = columns("log", "sigma", "n", "alpha", "images", head, "abstain %")
    for entry in summaries:
        # Tested at some radii only, a larger one may hold as well.
        acr = ("" if entry.undecided is None else ">= ") + as_acr(entry.acr)
        table.add_row(
            Text(entry.name),
            _sigma(entry),
            _UNKNOWN if entry.n is None else f"{entry.n:,}",
            _UNKNOWN if entry.alpha is None else as_stated(entry.alpha),
            entry.coverage.fraction,
            acr if entry.acr_se is None else f"{acr} ± {as_error(entry.acr_se)}",
            as_share_at_most(entry.abstained),
        )
    return table


def _accuracies(entry: "Summary") -> Table:
    """Return the certified accuracy of one log, a row per radius."""
    table = columns("radius", f"{_kind([entry])} accuracy %", "95 % interval")
    for radius, share, interval in zip(
        entry.radii, entry.certified_accuracy, entry.intervals, strict=True
    ):
        table.add_row(as_radius(radius), *_cell(share, interval))
    return table


def _cell(share: float | None, interval: tuple[float, float] | None) -> tuple[str, str]:
    """Return a certified accuracy and its interval, of a log that was asked for it or not."""
    if share is None or interval is None:
        return _NOT_ASKED, ""
    return as_share(share), as_interval(interval)


def _comparisons(summaries: Sequence["Summary"], width: int) -> Iterator[Table]:
    """Return the certified accuracies of several logs, as many radii per table as fit."""
    radii = [as_radius(radius) for radius in summaries[0].radii]
    cells = [
        [
            _cell(share, interval)
            for share, interval in zip(entry.certified_accuracy, entry.intervals, strict=True)
        ]
        for entry in summaries
    ]
    taken = max(len(entry.name) for entry in summaries) + _PADDING
    widest = max(len(interval) for row in cells for _, interval in row) + _PADDING
    fit = max(1, (width - taken) // widest)
    for start in range(0, len(radii), fit):
        part = slice(start, start + fit)
        table = columns("radius", *radii[part])
        for entry, row in zip(summaries, cells, strict=True):
            table.add_row(
                Text(entry.name),
                *(Text.assemble(share, "\n", (interval, "dim")) for share, interval in row[part]),
            )
        yield table


def columns(first: str, *others: str) -> Table:
    """Return a table without rows: names in the first column, numbers in the others."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")
    for other in others:
        table.add_column(other, justify="right", no_wrap=True)
    return table

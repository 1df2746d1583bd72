"""`rszoo report`: certification logs as tables, as a picture, or as JSON."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from rszoo.errors import RszooError
from rszoo.evaluation.formatting import as_interval, as_percent, as_radius
from rszoo_cli.console import err, out

if TYPE_CHECKING:
    from rszoo.evaluation.log import LogTable
    from rszoo.evaluation.metrics import Summary
    from rszoo.evaluation.p_distribution import PDistribution

__all__ = ["print_summaries", "report"]

_UNKNOWN = "?"
_PADDING = 2


def report(
    logs: Annotated[
        list[str],
        typer.Argument(metavar="LOG|ID...", help="Certification logs, or certified bundles."),
    ],
    radii: Annotated[
        str | None,
        typer.Option(
            metavar="R,R,...",
            help="Where to give the certified accuracy, in pixel units; default: every 0.25.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw certified accuracy against radius."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Sum up certification logs: ACR, certified accuracy, abstentions, the distribution of p.

    Several logs are compared in one table, and in one picture.
    Logs of the original research code (six columns) are read as well.

    Example:

        rszoo report runs/mnist-*-0.50 --plot curve.png
    """
    from rszoo.evaluation.metrics import default_radii, summary

    at = None if radii is None else _parse_radii(radii)
    tables = _with_distinct_names(_of_one_kind([_read(log) for log in logs]))
    if at is None:
        at = max((default_radii(table) for table in tables), key=len)
    summaries = [summary(table, at) for table in tables]
    if plot is not None:
        from rszoo.evaluation.plot import curve

        curve(tables, plot)
    if json:
        out.print_json(data=[_data(*pair) for pair in zip(tables, summaries, strict=True)])
    else:
        print_summaries(summaries)
        _print_p(tables)
        _print_differences(tables)
    for warning in _warnings(tables):
        (err if json else out).print(Text(f"warning: {warning}", style="yellow"), soft_wrap=True)
    if plot is not None and not json:
        out.print(Text(f"wrote {plot}"), soft_wrap=True)


def _read(log: str) -> "LogTable":
    """Read a log, or the log of a bundle, whose files are checked first."""
    from rszoo.evaluation.log import read_log
    from rszoo.hub.ids import is_id

    if not is_id(log):
        return read_log(log, nominal=True)
    from rszoo.hub.catalog import find

    evidence = find(log).evidence
    if evidence is None:
        raise RszooError(f"{log} is not certified; rszoo certify --model {log} --attach does it")
    return read_log(evidence)


def _of_one_kind(tables: list["LogTable"]) -> list["LogTable"]:
    """Return nominal logs as such, which stand beside no certificates.

    Raises:
        RszooError: only some are nominal.
    """
    nominal = [table.as_shown() for table in tables if not table.kind.certifies]
    if nominal and len(nominal) < len(tables):
        raise RszooError(
            "expected certificates, got nominal radii, which are none, in "
            f"{', '.join(str(table.path) for table in nominal)}; report these by themselves"
        )
    return nominal or tables


def print_summaries(summaries: Sequence["Summary"]) -> None:
    """Print what logs say: one table of their totals, one of certified accuracy per radius."""
    out.print(_totals(summaries))
    for entry in summaries:
        if entry.undecided is not None:
            most = "n" if entry.n is None else f"{entry.n:,}"
            out.print(
                f"{entry.name}: {entry.draws:,.0f} of {most} draws per image; "
                f"{as_percent(entry.undecided)} % undecided",
                highlight=False,
                markup=False,
                soft_wrap=True,
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


def _kind(summaries: Sequence["Summary"]) -> str:
    """Return what the radii are: all of a kind, see `_of_one_kind`."""
    return "nominal" if summaries[0].nominal else "certified"


def _data(table: "LogTable", entry: "Summary") -> dict[str, Any]:
    from rszoo.evaluation.p_distribution import p_distribution, why_unknown

    p = p_distribution(table)
    return {**asdict(entry), "p": p and asdict(p), "without_p": why_unknown(table)}


def _print_p(tables: Sequence["LogTable"]) -> None:
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
            out.print(Text(f"{table.name}: p is not known: {reason}"), soft_wrap=True)


def _distributions(known: Sequence[tuple["LogTable", "PDistribution"]]) -> Table:
    from rszoo.theory.radii import floor_digits

    heads = [f"{q:g}" for q in known[0][1].thresholds]
    shown = _table("log", "class", *heads, "1 - 1/n", "median")
    for table, p in known:
        any_class, right = p.all_but_one
        median = floor_digits(p.quantiles[p.levels.index(0.5)], 4)  # 1 only where it is 1
        shown.add_row(Text(table.name), "any", *_shares(*p.shares, any_class), median)
        shown.add_row("", "right", *_shares(*p.right, right), "")
    return shown


def _sigma(entry: "Summary") -> str:
    """Return the noise level; only logs that do not say n do not say theirs."""
    if entry.sigma is not None:
        return f"{entry.sigma:g}"
    return _UNKNOWN if entry.n is None else "several"


def _shares(*shares: float | None) -> list[str]:
    return [_UNKNOWN if share is None else as_percent(share) for share in shares]


def _print_differences(tables: Sequence["LogTable"]) -> None:
    """Print by how much the ACR of each log differs from the first one's."""
    from rszoo.evaluation.metrics import paired_difference

    for table in tables[1:]:
        found = paired_difference(tables[0], table)
        if found is not None:
            out.print(
                f"{found.second} - {found.first}: ACR {found.acr:+.3f}, 95 % interval "
                f"{found.low:+.3f} to {found.high:+.3f}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


def _parse_radii(text: str) -> tuple[float, ...]:
    try:
        radii = tuple(float(part) for part in text.split(","))
    except ValueError:
        radii = (math.nan,)
    if not all(0.0 <= radius < math.inf for radius in radii):
        raise typer.BadParameter(
            f"expected numbers >= 0 such as 0.25,0.5, got {text!r}", param_hint="--radii"
        )
    return radii


def _with_distinct_names(tables: list["LogTable"]) -> list["LogTable"]:
    """Name logs by their paths where their short names would not tell them apart."""
    names = [table.name for table in tables]
    if len(set(names)) == len(names):
        return tables
    return [replace(table, name=str(table.path)) for table in tables]


def _warnings(tables: Sequence["LogTable"]) -> Iterator[str]:
    from rszoo.evaluation.coverage import coverage
    from rszoo.evaluation.metrics import differences

    for table in tables:
        if table.unfinished:
            yield f"{table.path} ends in an unfinished row, which was left out"
        if not (found := coverage(table)).complete:
            yield f"{table.name}: {found}"
        if table.kind.note is not None:
            yield f"{table.name}: {table.kind.note}"
    differing = differences(tables)
    if differing:
        yield f"the logs differ in {', '.join(differing)}: their rows do not compare models"


def _totals(summaries: Sequence["Summary"]) -> Table:
    from rszoo.theory.radii import floor_digits

    head = "nominal ACR" if _kind(summaries) == "nominal" else "ACR"
    table = _table("log", "sigma", "n", "alpha", "images", head, "abstain %")
    for entry in summaries:
        # Tested at some radii only, a larger one may hold as well.
        acr = ("" if entry.undecided is None else ">= ") + floor_digits(entry.acr, 3)
        table.add_row(
            Text(entry.name),
            _sigma(entry),
            _UNKNOWN if entry.n is None else f"{entry.n:,}",
            _UNKNOWN if entry.alpha is None else f"{entry.alpha:g}",
            entry.coverage.fraction,
            acr if entry.acr_se is None else f"{acr} ± {entry.acr_se:.3f}",
            as_percent(entry.abstained),
        )
    return table


def _accuracies(entry: "Summary") -> Table:
    """Return the certified accuracy of one log, a row per radius."""
    table = _table("radius", f"{_kind([entry])} accuracy %", "95 % interval")
    for radius, share, interval in zip(
        entry.radii, entry.certified_accuracy, entry.intervals, strict=True
    ):
        table.add_row(as_radius(radius), as_percent(share), as_interval(interval))
    return table


def _comparisons(summaries: Sequence["Summary"], width: int) -> Iterator[Table]:
    """Return the certified accuracies of several logs, as many radii per table as fit."""
    radii = [as_radius(radius) for radius in summaries[0].radii]
    cells = [
        [
            (as_percent(share), as_interval(interval))
            for share, interval in zip(entry.certified_accuracy, entry.intervals, strict=True)
        ]
        for entry in summaries
    ]
    taken = max(len(entry.name) for entry in summaries) + _PADDING
    widest = max(len(interval) for row in cells for _, interval in row) + _PADDING
    fit = max(1, (width - taken) // widest)
    for start in range(0, len(radii), fit):
        part = slice(start, start + fit)
        table = _table("radius", *radii[part])
        for entry, row in zip(summaries, cells, strict=True):
            table.add_row(
                Text(entry.name),
                *(Text.assemble(share, "\n", (interval, "dim")) for share, interval in row[part]),
            )
        yield table


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, overflow="fold")
    for other in others:
        table.add_column(other, justify="right", no_wrap=True)
    return table

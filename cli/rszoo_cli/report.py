"""`rszoo report`: certification logs as tables, as a picture, or as JSON."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from rszoo.errors import RszooError
from rszoo_cli.console import err, out, print_note
from rszoo_cli.losses_shown import print_losses
from rszoo_cli.options import Json
from rszoo_cli.report_tables import (
    print_at_once,
    print_bound,
    print_differences,
    print_p,
    print_summaries,
)

if TYPE_CHECKING:
    from rszoo.evaluation.log import LogTable
    from rszoo.evaluation.metrics import Summary

__all__ = ["report"]


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
    expert: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LOG|ID",
            help="An expert of the cascade or dual model, once for each, in the order of "
            "composing: show what it loses to the best of them.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw certified accuracy against radius."),
    ] = None,
    json: Json = False,
) -> None:
    """Sum up certification logs: ACR, certified accuracy, abstentions, distribution of p.

    Several logs are compared in one table, and in one picture; those of different bounds have
    tables of their own.
    Logs of the original research code (six columns) are read as well.

    Example:

        rszoo report runs/mnist-*-0.50 --plot curve.png

        rszoo report runs/cascade --expert runs/a-0.25 --expert runs/a-1.00
    """
    from rszoo.certificates.bound import bound_order
    from rszoo.evaluation.losses import losses
    from rszoo.evaluation.metrics import default_radii, summary

    at = None if radii is None else _parse_radii(radii)
    read = [_read(log) for log in (*logs, *(expert or ()))]
    tables = _with_distinct_names(_of_one_kind(read))
    models, experts = tables[: len(logs)], tables[len(logs) :]
    if at is None:
        at = tuple(sorted({radius for table in tables for radius in default_radii(table)}))
    summaries = [summary(table, at) for table in tables]
    lost = [losses(model, experts, at) for model in models] if experts else []
    bounds = sorted({table.bound for table in tables}, key=bound_order)
    if plot is not None:
        from rszoo.evaluation.plot import curve

        _check_plot(plot, bounds)
        curve([*experts, *models], plot)  # the composed ones above those of which they are made
    _warn(_not_comparable(tables), json=json)
    if json:
        data = [_data(*pair) for pair in zip(tables, summaries, strict=True)]
        for entry, one in zip(data, lost, strict=False):
            entry["losses"] = asdict(one)
        out.print_json(data=data)
    else:
        for bound in bounds:
            of_bound = [table for table in tables if table.bound == bound]
            print_bound(bound, alone=bounds == [bound])
            print_summaries([one for one in summaries if one.bound == bound])
            print_p(of_bound)
            print_at_once(of_bound, at)
            print_differences(of_bound)
        if lost:
            print_losses(lost, summaries)
    _warn(_of_each(tables), json=json)
    if plot is not None and not json:
        out.print(Text(f"wrote {plot}"), soft_wrap=True)


def _check_plot(plot: Path, bounds: Sequence[str]) -> None:
    """Refuse a picture that is none, or one with curves of different bounds."""
    if plot.suffix.lower() != ".png":
        raise typer.BadParameter(
            f"expected a picture's name ending in .png, got {str(plot)!r}", param_hint="--plot"
        )
    if len(bounds) > 1:
        raise typer.BadParameter(
            f"expected logs of one bound for one picture, got {', '.join(map(repr, bounds))}; "
            "draw one for each",
            param_hint="--plot",
        )


def _read(log: str) -> "LogTable":
    """Read a log, or the log of a bundle, whose files are checked first."""
    from rszoo.evaluation.log import read_log
    from rszoo.hub.ids import is_id

    if not is_id(log):
        return read_log(log, nominal=True, sets=True)
    from rszoo.hub.catalog import find
    from rszoo.hub.evidence import evidence_of

    return evidence_of(find(log))


def _of_one_kind(tables: list["LogTable"]) -> list["LogTable"]:
    """Return nominal logs as such, which stand beside no certificates, and those of sets alike.

    Raises:
        RszooError: only some are nominal, or of sets.
    """
    sets = [table.as_shown() for table in tables if table.kind.of_sets]
    if sets and len(sets) < len(tables):
        raise RszooError(
            "expected certificates of answers, got those of sets of classes in "
            f"{', '.join(str(table.path) for table in sets)}; report these by themselves"
        )
    nominal = [table.as_shown() for table in tables if not table.kind.certifies]
    if nominal and len(nominal) < len(tables):
        raise RszooError(
            "expected certificates, got nominal radii, which are none, in "
            f"{', '.join(str(table.path) for table in nominal)}; report these by themselves"
        )
    return nominal or sets or tables


def _data(table: "LogTable", entry: "Summary") -> dict[str, Any]:
    from rszoo.evaluation.p_distribution import p_distribution, why_unknown
    from rszoo.evaluation.simultaneous import at_once, expected_wrong, why_not_at_once

    p = p_distribution(table)
    together = at_once(table, entry.radii)
    return {
        **entry.as_data(),
        "p": p and asdict(p),
        "without_p": why_unknown(table),
        "expected_wrong": expected_wrong(table),
        "at_once": together and asdict(together),
        "without_at_once": why_not_at_once(table),
    }


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


def _warn(warnings: Iterable[str], *, json: bool) -> None:
    for warning in warnings:
        print_note(f"warning: {warning}", style="yellow", to=err if json else out)


def _of_each(tables: Sequence["LogTable"]) -> Iterator[str]:
    """Yield what is to be known of single logs."""
    from rszoo.evaluation.coverage import coverage

    for table in tables:
        if table.unfinished:
            yield f"{table.path} ends in an unfinished row, which was left out"
        if not (found := coverage(table)).complete:
            yield f"{table.name}: {found}"
        if table.kind.note is not None:
            yield f"{table.name}: {table.kind.note}"


def _not_comparable(tables: Sequence["LogTable"]) -> Iterator[str]:
    """Yield why the rows of the tables do not compare models, where they do not."""
    from rszoo.evaluation.metrics import differences

    differing = differences(tables)
    if "inputs" in differing:
        listed = ", ".join(f"{table.name} over {len(table):,}" for table in tables)
        yield f"the averages are over different inputs: {listed}"
    if differing:
        yield f"the logs differ in {', '.join(differing)}: their rows do not compare models"

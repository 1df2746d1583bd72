"""What composed models lose to the best of their experts, as tables on the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from rszoo.theory.rounding import (
    as_acr,
    as_error,
    as_radius,
    as_share,
    as_share_at_most,
)
from rszoo_cli.console import out, print_note
from rszoo_cli.report_tables import columns

if TYPE_CHECKING:
    from rszoo.evaluation.losses import Losses
    from rszoo.evaluation.metrics import Summary

__all__ = ["print_losses"]

_NO_CERTIFICATE = (
    "best of the experts: oracle and envelope are no certificates; they know the true class of "
    "each image, and which expert is the best one there"
)


def print_losses(lost: Sequence["Losses"], summaries: Sequence["Summary"]) -> None:
    """Print the losses of models of the same experts, the oracle and the upper envelope.

    Args:
        lost: at least one.
        summaries: of the same models, in this order; more may follow.
    """
    out.print()
    print_note(_NO_CERTIFICATE)
    out.print()
    out.print(_totals(lost))
    for one in lost:
        where = f"{as_share_at_most(one.below)} points at {as_radius(one.below_at)}"
        print_note(f"{one.name}: farthest below the envelope: {where}")
    out.print()
    out.print(_accuracies(lost, summaries))


def _totals(lost: Sequence["Losses"]) -> Table:
    heads = ("best expert", "oracle", "choice loss", "router loss", "of the way %")
    table = columns("log", *heads)
    for one in lost:
        table.add_row(
            Text(one.name),
            as_acr(one.best_acr),
            as_acr(one.oracle_acr),
            as_error(one.choice),
            as_error(one.router),
            "" if one.way is None else as_share(one.way),
        )
    return table


def _accuracies(lost: Sequence["Losses"], summaries: Sequence["Summary"]) -> Table:
    """Return accuracy in %, a row per radius; the last two columns are not certified."""
    first, *_ = lost
    models = summaries[: len(lost)]
    table = columns("radius", *(f"{one.name} %" for one in models), "envelope %", "oracle %")
    shares = (
        *(one.by_radius().values() for one in models),
        first.envelope,
        first.oracle_accuracy,
    )
    for radius, *row in zip(first.radii, *shares, strict=True):
        table.add_row(as_radius(radius), *map(as_share, row))
    return table

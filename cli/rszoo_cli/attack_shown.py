"""What `rszoo attack` prints, and how its log gets into the bundle."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rszoo_cli.attaching import check_attachable
from rszoo_cli.console import err, out

if TYPE_CHECKING:
    from rszoo.evaluation.attack_log import AttackRow
    from rszoo.hub.bundle import Bundle

__all__ = ["attach_log", "check_attach", "print_counts", "print_own"]

_LEVEL = 0.05  # of the intervals


def check_attach(bundle: "Bundle", *, attach: bool, overwrite: bool) -> None:
    """Refuse --attach where it cannot be, and --overwrite without it."""
    if overwrite and not attach:
        raise typer.BadParameter("expected --attach with --overwrite, got none")
    check_attachable(bundle, attach=attach)


def attach_log(bundle: "Bundle", log_file: Path | None, *, attach: bool, overwrite: bool) -> None:
    """Put a finished log of an attack into its bundle if asked to, and say so."""
    if not attach or log_file is None:
        return
    from rszoo.hub.attack_logs import add_attack

    add_attack(bundle, log_file, overwrite=overwrite)
    err.print(f"the log is now in {bundle.path}", highlight=False, soft_wrap=True)


def print_counts(
    rows: "Sequence[AttackRow]",
    bundle: "Bundle",
    named: dict[str, Any],
    log_file: Path | None,
    *,
    json: bool,
) -> None:
    """Print how many answers are right, before and under the attack, with intervals of 95 %."""
    from rszoo.theory.bounds import clopper_pearson_interval

    count = len(rows)
    clean = sum(row.clean == row.label for row in rows)
    attacked = sum(row.attacked == row.label for row in rows)
    values = {
        "model": bundle.id,
        **named,
        "inputs": count,
        "right": clean,
        "right_interval": clopper_pearson_interval(clean, count, _LEVEL),
        "right_under_attack": attacked,
        "right_under_attack_interval": clopper_pearson_interval(attacked, count, _LEVEL),
        "upper_bound": True,
        "log": str(log_file),
    }
    if json:
        out.print_json(data=values)
        return
    _print_table(values, bundle.config.name)
    err.print("an upper bound by one attack, not a certificate", style="yellow", soft_wrap=True)
    err.print(f"log: {log_file}", highlight=False, soft_wrap=True)


def _print_table(values: dict[str, Any], name: str) -> None:
    from rich.table import Table

    from rszoo.theory.rounding import as_interval, as_share, as_share_at_most, as_stated

    table = Table("answers", "right", "95 %", box=None)
    count = values["inputs"]
    share, at_most = values["right"] / count, values["right_under_attack"] / count
    interval = as_interval(values["right_interval"])
    table.add_row(f"{name}, {count} inputs", f"{as_share(share)}%", interval)
    under = f"under {values['attack']}, {values['norm']} {as_stated(values['eps'])}"
    interval = as_interval(values["right_under_attack_interval"])
    table.add_row(under, f"at most {as_share_at_most(at_most)}%", interval)
    out.print(table)


def print_own(
    rows: "Sequence[AttackRow]",
    bundle: "Bundle",
    named: dict[str, Any],
    seed: int,
    *,
    json: bool,
) -> None:
    """Print the answers to each of the user's own inputs, before and under the attack."""
    from rich.table import Table
    from rich.text import Text

    from rszoo.certificates.base import ABSTAIN
    from rszoo.theory.rounding import as_error

    def name(label: int) -> str | None:
        return None if label == ABSTAIN else bundle.config.class_names[label]

    if json:
        out.print_json(
            data=[
                {
                    "input": row.input,
                    "class": name(row.clean),
                    "class_under_attack": name(row.attacked),
                    "distance": row.distance,
                    **named,
                    "seed": seed,
                }
                for row in rows
            ]
        )
        return
    table = Table("input", "label", "under attack", "moved by", box=None)
    for row in rows:
        labels = [Text(name(label) or "abstains") for label in (row.clean, row.attacked)]
        table.add_row(Text(row.input or ""), *labels, as_error(row.distance))
    out.print(table)
    err.print("one attack, not a certificate: another may find more", style="yellow")
    err.print(f"seed {seed}", highlight=False)

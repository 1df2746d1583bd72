"""What `rszoo certify` prints when it is done."""

import math
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from rszoo_cli.console import out
from rszoo_cli.per_input import print_nominal

if TYPE_CHECKING:
    from rich.table import Table

    from rszoo.certificates.base import Certificate
    from rszoo.evaluation.job import Certified
    from rszoo.hub.bundle import Bundle

__all__ = ["print_answers", "print_seed", "print_summary"]


def print_answers(
    certified: "Certified", bundle: "Bundle", *, own: bool, log: Path | None, json: bool
) -> None:
    """Print each answer to the user's own inputs, or else the metrics of a finished log.

    Args:
        certified: the answers.
        bundle: that gave them.
        own: whether they are to the user's own inputs.
        log: the log, if there is one.
        json: print JSON, and nothing else, to stdout.
    """
    if own:
        _print_own(certified, bundle, json=json)
    elif log is not None:
        print_summary(log, json=json)


def _print_own(certified: "Certified", bundle: "Bundle", *, json: bool) -> None:
    """Print label and radius of each of the user's own inputs."""
    from rszoo.certificates.bound import bound_text
    from rszoo_cli.report_tables import print_bound

    if json:
        out.print_json(data=_own_values(certified, bundle))
    else:
        print_bound(bound_text(certified.kind.bound, certified.protocol.n_max), alone=True)
        out.print(_own_table(certified, bundle))
        print_seed(certified.seed)
    if not certified.kind.certifies:
        print_nominal()


def _own_values(certified: "Certified", bundle: "Bundle") -> list[dict[str, object]]:
    """Return the answers to the user's own inputs, as JSON values."""
    from rszoo.theory.radii import linf_radius

    numbers = math.prod(bundle.config.input_shape)
    return [
        {
            "input": one.name,
            "class": _name(bundle, certificate.label),
            **_fields(certificate),
            "linf_radius": linf_radius(certificate.radius, numbers),
            "seed": certified.seed,
        }
        for one, certificate in certified.answers
    ]


def _own_table(certified: "Certified", bundle: "Bundle") -> "Table":
    """Return the answers to the user's own inputs, as a table."""
    from rich.table import Table
    from rich.text import Text

    from rszoo.theory.rounding import floor_digits

    nominal = not certified.kind.certifies
    table = Table("input", "one of" if certified.kind.of_sets else "label", box=None)
    table.add_column("nominal radius" if nominal else "radius", justify="right")
    table.add_column("holds with probability", justify="right")
    for one, certificate in certified.answers:
        found = certified.kind.shown_classes(certificate)
        names = [bundle.config.class_names[label] for label in found]
        table.add_row(
            Text(str(one.name)),
            Text(", ".join(names) or "abstains"),
            floor_digits(certified.kind.shown_radius(certificate), 4),
            "-" if nominal or not found else _at_least(certificate.alpha),
        )
    return table


def _name(bundle: "Bundle", label: int) -> str | None:
    """Return what a class is called; None for an abstention."""
    from rszoo.certificates.base import ABSTAIN

    return None if label == ABSTAIN else bundle.config.class_names[label]


def print_seed(seed: int) -> None:
    """Print the seed under which the same command gives the same answers."""
    out.print(f"seed {seed}", highlight=False)


def _at_least(alpha: float) -> str:
    """Return the probability with which a certificate holds, at least."""
    return str(1 - Decimal(repr(alpha)))  # never rounded up, to 1 least of all


def print_summary(log: Path, *, json: bool) -> None:
    """Print the metrics of a finished log."""
    from rszoo.evaluation.log import read_log
    from rszoo.evaluation.metrics import summary
    from rszoo_cli.report_tables import print_bound, print_summaries

    table = read_log(log, nominal=True, sets=True)
    entry = summary(table.as_shown())
    if json:
        out.print_json(data=entry.as_data())
    else:
        print_bound(entry.bound, alone=True)
        print_summaries([entry])
    if not table.kind.certifies:
        print_nominal()


def _fields(certificate: "Certificate") -> dict[str, object]:
    """Return the values of a certificate, those of its kind among them."""
    from dataclasses import asdict

    values = asdict(certificate)
    del values["class_name"]  # which is "class" here
    return values | (values.pop("details") or {})

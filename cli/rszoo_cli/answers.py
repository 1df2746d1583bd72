"""What `rszoo certify` prints when it is done."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from rszoo_cli.console import out

if TYPE_CHECKING:
    from rszoo.evaluation.certify import Input
    from rszoo.smoothing.certificate import Certificate

__all__ = ["print_own", "print_summary"]


def print_own(
    certified: Sequence[tuple["Input", "Certificate"]], classes: Sequence[str], *, json: bool
) -> None:
    """Print label and radius of each of the user's own inputs."""
    from rich.table import Table
    from rich.text import Text

    from rszoo.smoothing.certificate import ABSTAIN
    from rszoo.theory.radii import floor_digits

    def name(label: int) -> str | None:
        return None if label == ABSTAIN else classes[label]

    if json:
        out.print_json(
            data=[
                {"input": one.name, "class": name(certificate.label), **_fields(certificate)}
                for one, certificate in certified
            ]
        )
        return
    table = Table("input", "label", box=None)
    table.add_column("radius", justify="right")
    table.add_column("confidence", justify="right")
    for one, certificate in certified:
        table.add_row(
            Text(str(one.name)),
            Text(name(certificate.label) or "abstains"),
            floor_digits(certificate.radius, 4),
            "-" if certificate.label == ABSTAIN else _confidence(certificate.alpha),
        )
    out.print(table)


def _confidence(alpha: float) -> str:
    return str(1 - Decimal(repr(alpha)))  # never rounded up, to 1 least of all


def print_summary(log: Path, *, json: bool) -> None:
    """Print the metrics of a finished log."""
    from dataclasses import asdict

    from rszoo.evaluation.log import read_log
    from rszoo.evaluation.metrics import summary
    from rszoo_cli.report import print_summaries

    entry = summary(read_log(log))
    if json:
        out.print_json(data=asdict(entry))
    else:
        print_summaries([entry])


def _fields(certificate: "Certificate") -> dict[str, object]:
    """Return the values of a certificate; those of routing and mixing only where there are any."""
    from dataclasses import asdict

    values = asdict(certificate)
    if values["alpha_mix"] is None:
        del values["alpha_mix"]
    return values | (values.pop("routing") or {})

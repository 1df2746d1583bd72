"""Certificates whose noise was searched for each input, made sound by a memory of earlier answers.

See `rszoo.smoothing.memory`.
"""

from dataclasses import dataclass
from typing import Literal

from rszoo.certificates.base import ABSTAIN, Certificate, Details
from rszoo.certificates.claims import budget_stated, of_votes, sampled
from rszoo.certificates.columns import COUNTED, index, radius
from rszoo.certificates.kind import NETWORK, Fault, Kind, Row, Voter, differing, disordered
from rszoo.certificates.protocol import Protocol

__all__ = ["KIND", "Remembered"]


@dataclass(frozen=True, kw_only=True)
class Remembered(Details):
    """The details that a memory of earlier answers adds to a certificate.

    Attributes:
        nominal_radius: what would be certified if every input had this noise level; the `radius`
            is no larger.
        order: place of the answer among those that the memory holds, from 0.
        source: place of the answer whose evidence this is: its own, or that of the earlier region
            which the input lies in.
    """

    nominal_radius: float
    order: int
    source: int


class _Remembered(Protocol):
    """The protocol of certificates with a memory."""

    per_input_sigma: Literal["memory"]


def _fault(row: Row) -> Fault | None:
    """Return what is wrong with a row, given its votes, which give the nominal radius.

    How much less is certified follows from the inputs of other rows, which are not in the log.
    """
    if fault := disordered(("votes", "n"), (row["votes"], row["n"])):
        return fault
    given = of_votes(row)
    right = {"p_lower": given.p_lower, "nominal_radius": given.radius}
    if fault := differing(row, right, given="for the row's votes"):
        return fault
    if row["predict"] not in (given.label, ABSTAIN):
        return f"predict={given.label} for the row's votes", row["predict"]
    most = 0.0 if row["predict"] == ABSTAIN else row["nominal_radius"]
    if row["radius"] > most:
        return f"radius <= {most!r}", row["radius"]
    if row["source"] > row["order"]:
        return f"source <= {row['order']}", row["source"]
    return None


def _redrawn(certificate: Certificate) -> bool:
    assert isinstance(certificate.details, Remembered)
    return certificate.details.source == certificate.details.order


def _voters(certificate: Certificate) -> tuple[Voter, ...]:
    return (sampled(certificate, name=NETWORK, searched=True),)


KIND = Kind(
    name="memory",
    columns=(*COUNTED, radius("nominal_radius"), index("order"), index("source")),
    protocol=_Remembered,
    details=Remembered,
    fault=_fault,
    stated=budget_stated,
    voters=_voters,
    redrawn=_redrawn,
    independent=False,
    of_bundle=False,
    one_sigma=False,
    note="holds with its memory only; the answers depend on the order of inputs",
)

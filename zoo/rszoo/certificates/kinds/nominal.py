"""Nominal radii, no certificates: the noise was searched for each input.

What would be certified if every input had the noise level that was found for this one. Radius 0 is
all that is certified; see `rszoo.smoothing.insta`.
"""

from dataclasses import dataclass
from typing import Literal

from rszoo.certificates.base import Certificate, Details
from rszoo.certificates.claims import budget_stated, of_votes, sampled
from rszoo.certificates.columns import COUNTED, radius
from rszoo.certificates.kind import NETWORK, Fault, Kind, Row, Voter, differing, disordered
from rszoo.certificates.protocol import Protocol

__all__ = ["KIND", "Nominal"]


@dataclass(frozen=True, kw_only=True)
class Nominal(Details):
    """The details of a certificate at a searched noise level: a radius in name only.

    Attributes:
        nominal_radius: what would be certified if every input had this noise level.
    """

    nominal_radius: float


class _Searched(Protocol):
    """The protocol of nominal radii."""

    per_input_sigma: Literal["nominal"]


def _fault(row: Row) -> Fault | None:
    if fault := disordered(("votes", "n"), (row["votes"], row["n"])):
        return fault
    given = of_votes(row)
    right = {
        "p_lower": given.p_lower,
        "nominal_radius": given.radius,
        "predict": given.label,
    }
    if fault := differing(row, right, given="for the row's votes"):
        return fault
    return ("radius <= 0.0", row["radius"]) if row["radius"] > 0.0 else None


def _shown_radius(certificate: Certificate) -> float:
    assert isinstance(certificate.details, Nominal)
    return certificate.details.nominal_radius


def _voters(certificate: Certificate) -> tuple[Voter, ...]:
    return (sampled(certificate, name=NETWORK, searched=True),)


KIND = Kind(
    name="nominal",
    columns=(*COUNTED, radius("nominal_radius")),
    protocol=_Searched,
    details=Nominal,
    fault=_fault,
    stated=budget_stated,
    voters=_voters,
    shown_radius=_shown_radius,
    certifies=False,
    of_bundle=False,
    one_sigma=False,
    note="nominal radius, not a certificate",
)

"""Certificates of a cascade at given radii, see `rszoo.smoothing.cascade`.

The parts are the expert that answers, for its class, and those asked before it, for its draws
without the most frequent other class: `rszoo.certificates.experts_early` has the proof for both.
"""

from rszoo.certificates.base import Certificate
from rszoo.certificates.columns import COUNTED, draws, index, radius
from rszoo.certificates.experts import OTHERS, Experts, experts_spent
from rszoo.certificates.experts_early import (
    ExpertsAtRadii,
    early_answering,
    early_fault,
    early_stated,
    early_tests,
)
from rszoo.certificates.kind import Fault, Kind, Row, Voter
from rszoo.certificates.kinds.cascade import cascade_names, cascade_voters

__all__ = ["KIND"]


def _fault(row: Row) -> Fault | None:
    return early_fault(row, lowest=row["expert_level"], highest=row["experts"] - 1)


def _voters(certificate: Certificate) -> tuple[Voter, ...]:
    return cascade_voters(certificate, early_answering(certificate))


KIND = Kind(
    name="cascade_early",
    marked="cascade",
    columns=(
        *COUNTED,
        draws("draws"),
        draws("spent"),
        draws("experts"),
        index("expert_level"),
        radius("expert_radius"),
        OTHERS,
    ),
    protocol=ExpertsAtRadii,
    details=Experts,
    fault=_fault,
    stated=early_stated,
    voters=_voters,
    tests=early_tests,
    voter_names=cascade_names,
    spent=experts_spent,
    one_sigma=False,
)

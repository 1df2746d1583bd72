"""Certificates of a cascade of experts, see `rszoo.smoothing.cascade`."""

from collections.abc import Sequence

from rszoo.certificates.base import Certificate
from rszoo.certificates.columns import COUNTED, draws, index, radius
from rszoo.certificates.experts import (
    OTHERS,
    Experts,
    ExpertsProtocol,
    expert_names,
    expert_voters,
    experts_fault,
    experts_stated,
    experts_tests,
)
from rszoo.certificates.kind import Claim, Fault, Kind, Row, Voter

__all__ = ["KIND", "cascade_names", "cascade_voters"]


class _Cascade(ExpertsProtocol):
    """The protocol of certificates of a cascade."""


def _fault(row: Row) -> Fault | None:
    """Return what is wrong with a row: it rests on all experts from the one that answers on."""
    return experts_fault(row, lowest=row["expert_level"], highest=row["experts"] - 1)


def _details(certificate: Certificate) -> Experts:
    assert isinstance(certificate.details, Experts)
    return certificate.details


def cascade_names(certificate: Certificate) -> tuple[str, ...]:
    """Return the names of all experts of the cascade that gave a certificate."""
    return expert_names(_details(certificate).experts)


def cascade_voters(certificate: Certificate, answering: Claim | None = None) -> tuple[Voter, ...]:
    """Return the experts that a certificate of a cascade rests on, the one that answers first.

    Args:
        certificate: of a cascade.
        answering: as in `expert_voters`.
    """

    def without_each_other(votes: Sequence[int]) -> list[int]:
        # No class but the candidate has half of the noise of an expert that is asked before.
        total = sum(votes)
        return [total - count for c, count in enumerate(votes) if c != certificate.candidate]

    details = _details(certificate)
    return expert_voters(certificate, details, events=without_each_other, answering=answering)


KIND = Kind(
    name="cascade",
    columns=(*COUNTED, draws("experts"), index("expert_level"), radius("expert_radius"), OTHERS),
    protocol=_Cascade,
    details=Experts,
    fault=_fault,
    stated=experts_stated,
    voters=cascade_voters,
    tests=experts_tests,
    voter_names=cascade_names,
    one_sigma=False,
)

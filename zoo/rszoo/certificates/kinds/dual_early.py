"""Certificates of a dual classifier at given radii, see `rszoo.smoothing.dual`.

The parts are the experts of the set, for one class, and the router, for the less frequent of its
two events, not below the set and not above it. The votes for it are at no look more than those
for the one that is really the first to lose its half, which is given as every other part is:
`rszoo.certificates.experts_early` has the proof for all of them.
"""

from rszoo.certificates.base import Certificate
from rszoo.certificates.columns import COUNTED, draws
from rszoo.certificates.experts_early import (
    ExpertsAtRadii,
    early_answering,
    early_fault,
    early_stated,
    early_tests,
)
from rszoo.certificates.kind import Fault, Kind, Row, Stated, Voter
from rszoo.certificates.kinds.dual import (
    ROUTED,
    RoutedProtocol,
    Routing,
    routed_names,
    routed_spent,
    routed_voters,
    router_reach,
    router_sigma_stated,
)

__all__ = ["KIND"]


class _RoutedAtRadii(ExpertsAtRadii, RoutedProtocol):
    """The protocol of certificates of a dual classifier at given radii only."""


def _fault(row: Row) -> Fault | None:
    lowest, highest = row["lowest_level"], row["highest_level"]
    return early_fault(row, lowest=lowest, highest=highest, router=router_reach(row))


def _stated(row: Row, protocol: _RoutedAtRadii) -> Stated:
    return {
        **early_stated(row, protocol),
        **router_sigma_stated(row, protocol),
        "router_radius": protocol.claimed(row["router_radius"]),
    }


def _voters(certificate: Certificate) -> tuple[Voter, ...]:
    return routed_voters(certificate, early_answering(certificate))


KIND = Kind(
    name="dual_early",
    marked="dual",
    columns=(*COUNTED, draws("draws"), draws("spent"), *ROUTED),
    protocol=_RoutedAtRadii,
    details=Routing,
    fault=_fault,
    stated=_stated,
    voters=_voters,
    tests=lambda row: early_tests(row, router=router_reach(row)),
    voter_names=routed_names,
    spent=routed_spent,
    one_sigma=False,
)

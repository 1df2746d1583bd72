"""Certificates of a dual classifier, a router over experts; see `rszoo.smoothing.dual`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rszoo.certificates.base import Certificate, applied_sigma
from rszoo.certificates.claims import stopped
from rszoo.certificates.columns import COUNTED, draws, index, radius, sigma
from rszoo.certificates.experts import (
    OTHERS,
    Experts,
    ExpertsProtocol,
    Reach,
    expert_names,
    expert_voters,
    experts_fault,
    experts_stated,
    experts_tests,
)
from rszoo.certificates.kind import Fault, Kind, Row, Stated, Voter
from rszoo.certificates.protocol import Evaluation, Network

__all__ = ["KIND", "ROUTER", "Routing"]

#: The name of the voter that is the router.
ROUTER = "router"


@dataclass(frozen=True, kw_only=True)
class Routing(Experts):
    """The details that a router adds to the certificate of an expert.

    Attributes:
        experts, expert_level, expert_radius, others: see `Experts`.
        lowest_level, highest_level: the router certainly chooses one of these, from 0.
        router_radius: within it the router certainly chooses no other level; pixel units. Of no
            meaning where the levels are all there are.
        router_votes, router_draws, router_spent: as `votes`, `draws` and `spent` of a
            `Certificate`; 0 where nothing was left to decide.
        router_sigma: standard deviation of the router's noise.
    """

    lowest_level: int
    highest_level: int
    router_radius: float
    router_votes: int
    router_draws: int
    router_spent: int
    router_sigma: float


class _Dual(ExpertsProtocol):
    """The protocol of certificates of a dual classifier.

    Attributes:
        router: how it was evaluated.
    """

    router: Network

    @property
    def networks(self) -> tuple[Evaluation, ...]:
        """How each of the networks was evaluated."""
        return (*self.experts, self.router)


def _fault(row: Row) -> Fault | None:
    """Return what is wrong with a row: it rests on the levels that the router is held to."""
    lowest, highest = row["lowest_level"], row["highest_level"]
    return experts_fault(row, lowest=lowest, highest=highest, router=_router(row))


def _router(row: Row) -> Reach:
    """Return how far the router chooses no other levels; it is the level after all experts."""
    names = ("sigma", "radius", "votes", "draws", "spent")
    values: dict[str, Any] = {name: row[f"{ROUTER}_{name}"] for name in names}
    return Reach(level=row["experts"], **values)


def _stated(row: Row, protocol: _Dual) -> Stated:
    router_sigma = (applied_sigma(protocol.router.sigma), row["router_sigma"])
    return {**experts_stated(row, protocol), "router_sigma": router_sigma}


def _details(certificate: Certificate) -> Routing:
    assert isinstance(certificate.details, Routing)
    return certificate.details


def _voters(certificate: Certificate) -> tuple[Voter, ...]:
    details = _details(certificate)
    experts = expert_voters(
        certificate, details, events=lambda votes: [votes[certificate.candidate]]
    )
    if not details.router_draws:
        return experts

    def sides(votes: Sequence[int]) -> list[int]:
        # Two claims at once: no level below, and none above.
        return [sum(votes[: details.highest_level + 1]), sum(votes[details.lowest_level :])]

    router = Voter(
        name=ROUTER,
        sigma=details.router_sigma,
        claims=stopped(sides, details.router_votes, details.router_draws, n=certificate.n),
    )
    return (*experts, router)


KIND = Kind(
    name="dual",
    columns=(
        *COUNTED,
        draws("experts"),
        index("lowest_level"),
        index("highest_level"),
        index("expert_level"),
        radius("expert_radius"),
        OTHERS,
        radius("router_radius"),
        index("router_votes"),
        index("router_draws"),
        index("router_spent"),
        sigma("router_sigma"),
    ),
    protocol=_Dual,
    details=Routing,
    fault=_fault,
    stated=_stated,
    voters=_voters,
    tests=lambda row: experts_tests(row, router=_router(row)),
    voter_names=lambda certificate: (*expert_names(_details(certificate).experts), ROUTER),
    one_sigma=False,
)

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
    experts_spent,
    experts_stated,
    experts_tests,
)
from rszoo.certificates.kind import Claim, Fault, Kind, Row, Stated, Voter
from rszoo.certificates.protocol import Evaluation, Network

__all__ = [
    "KIND",
    "ROUTED",
    "ROUTER",
    "RoutedProtocol",
    "Routing",
    "routed_names",
    "routed_spent",
    "routed_voters",
    "router_reach",
    "router_sigma_stated",
]

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


class RoutedProtocol(ExpertsProtocol):
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
    return experts_fault(row, lowest=lowest, highest=highest, router=router_reach(row))


def router_reach(row: Row) -> Reach:
    """Return how far the router chooses no other levels; it is the level after all experts."""
    names = ("sigma", "radius", "votes", "draws", "spent")
    values: dict[str, Any] = {name: row[f"{ROUTER}_{name}"] for name in names}
    return Reach(level=row["experts"], **values)


def router_sigma_stated(row: Row, protocol: RoutedProtocol) -> Stated:
    """Return the noise level of the router that a protocol states, and that of a row."""
    return {"router_sigma": (applied_sigma(protocol.router.sigma), row["router_sigma"])}


def _stated(row: Row, protocol: RoutedProtocol) -> Stated:
    return {**experts_stated(row, protocol), **router_sigma_stated(row, protocol)}


def routed_spent(row: Row) -> tuple[int, ...]:
    """Return the draws for estimation that each expert of a row and its router have made."""
    return (*experts_spent(row), row["router_spent"])


def _details(certificate: Certificate) -> Routing:
    assert isinstance(certificate.details, Routing)
    return certificate.details


def routed_names(certificate: Certificate) -> tuple[str, ...]:
    """Return the names of all experts and of the router of what gave a certificate."""
    return (*expert_names(_details(certificate).experts), ROUTER)


def routed_voters(certificate: Certificate, answering: Claim | None = None) -> tuple[Voter, ...]:
    """Return the experts that a certificate rests on, the one that answers first, and the router.

    Args:
        certificate: of a dual classifier.
        answering: as in `expert_voters`.
    """
    details = _details(certificate)
    experts = expert_voters(
        certificate,
        details,
        events=lambda votes: [votes[certificate.candidate]],
        answering=answering,
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


#: The columns of the experts and of the router.
ROUTED = (
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
)

KIND = Kind(
    name="dual",
    columns=(*COUNTED, *ROUTED),
    protocol=RoutedProtocol,
    details=Routing,
    fault=_fault,
    stated=_stated,
    voters=routed_voters,
    tests=lambda row: experts_tests(row, router=router_reach(row)),
    voter_names=routed_names,
    one_sigma=False,
)

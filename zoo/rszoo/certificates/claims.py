"""What kinds of certificates have in common: claims of one voter, and what protocols state."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import ClassVar

from pydantic import model_validator

from rszoo.certificates.base import (
    Certificate,
    applied_sigma,
    certificate_from_bound,
    certificate_from_votes,
)
from rszoo.certificates.kind import (
    NETWORK,
    Fault,
    Row,
    Sample,
    Stated,
    Stopped,
    Voter,
    agrees,
    differing,
    disordered,
)
from rszoo.certificates.protocol import Protocol
from rszoo.theory.radii import needed_probability
from rszoo.theory.sequential import enough, looks

__all__ = [
    "AtRadii",
    "OneSigma",
    "OneSigmaAtRadii",
    "at_alpha",
    "budget_stated",
    "claimed_by_all_draws",
    "counted",
    "decided",
    "exceeded",
    "of_votes",
    "radii_stated",
    "sampled",
    "sigma_stated",
    "stopped",
    "the_network",
]


class OneSigma(Protocol):
    """The protocol of certificates that are all under one noise level."""

    @model_validator(mode="after")
    def _states_sigma(self) -> "OneSigma":
        if "sigma" in self.model_fields_set and self.sigma is None:
            raise ValueError("expected a noise level sigma, got null")
        return self


class AtRadii(Protocol):
    """The protocol of certificates at given radii only."""

    at_radii: ClassVar[bool] = True

    @cached_property
    def claimable(self) -> frozenset[float]:
        """The radii that a row may claim."""
        return frozenset((0.0, *(self.radii or ())))

    def claimed(self, radius: float) -> tuple[float, float]:
        """Return the nearest radius that a row may claim, and the one that it does."""
        if radius in self.claimable:
            return radius, radius
        return min(self.claimable, key=lambda one: abs(one - radius)), radius


class OneSigmaAtRadii(AtRadii, OneSigma):
    """The protocol of certificates at given radii that are all under one noise level."""


def of_votes(row: Row) -> Certificate:
    """Return the certificate of one network that the votes of a row give, from all n draws.

    Its bound is that of the row, where this agrees with the votes: a radius from near 1 turns on
    digits of it in which versions of scipy differ.

    Guarantee:
        That of `certificate_from_votes`.
    """
    counts = {name: row[name] for name in ("candidate", "votes", "n0", "n", "alpha", "sigma")}
    given = certificate_from_votes(**counts)
    if not agrees(row["p_lower"], given.p_lower):
        return given
    return certificate_from_bound(row["p_lower"], **counts)


def claimed_by_all_draws(
    row: Row, certified: Callable[[Row], Certificate] = of_votes
) -> Fault | None:
    """Return the fault of a row that claims otherwise than all of its n draws give.

    Args:
        row: its votes, and what it claims.
        certified: from a row whose counts are in order to what its votes give.
    """
    if fault := disordered(("votes", "n"), (row["votes"], row["n"])):
        return fault
    right = certified(row)
    expected = {"predict": right.label, "p_lower": right.p_lower, "radius": right.radius}
    return differing(row, expected, given=f"for votes={row['votes']}, n={row['n']}")


def at_alpha(certificate: Certificate, alpha: float) -> Certificate:
    """Return what all n draws of one network certify at another failure probability.

    Guarantee:
        That of `certificate_from_votes`, at `alpha`, which must not have been chosen by the votes.
    """
    counts = {name: getattr(certificate, name) for name in ("n0", "n", "sigma")}
    return certificate_from_votes(certificate.candidate, certificate.votes, alpha=alpha, **counts)


def decided(row: Row, *, radius: float, sigma: float, votes: int, draws: int) -> bool:
    """Return whether the votes of a sequential test decide for a radius.

    Args:
        row: of which the test has n and alpha.
        radius: which is asked for, pixel units.
        sigma: of the noise, pixel units.
        votes, draws: at the look at which it was decided.
    """
    needed = needed_probability(radius, sigma)
    return exceeded(needed, n=row["n"], alpha=row["alpha"], votes=votes, draws=draws)


def exceeded(p: float, *, n: int, alpha: float, votes: int, draws: int) -> bool:
    """Return whether the votes of a sequential test decide that a proportion exceeds p.

    Args:
        p: which is asked for.
        n, alpha: of the test.
        votes, draws: at the look at which it was decided.
    """
    if not p < 1.0:
        return False
    return bool(((looks(n) == draws) & (votes >= enough(p, n, alpha))).any())


def the_network(certificate: Certificate) -> tuple[Voter, ...]:
    """Return the only voter of a certificate, which rests on all of its draws."""
    return (sampled(certificate, name=NETWORK),)


def sampled(certificate: Certificate, *, name: str, searched: bool = False) -> Voter:
    """Return the voter whose votes a certificate holds, all n draws of them.

    Args:
        certificate: its candidate was counted.
        name, searched: see `Voter`.
    """
    return Voter(
        name=name,
        sigma=certificate.sigma,
        claims=(counted(certificate),),
        searched=searched,
    )


def counted(certificate: Certificate) -> Sample:
    """Return the claim that the candidate was counted so often in all draws."""
    return Sample(
        events=lambda votes: [votes[certificate.candidate]],
        votes=certificate.votes,
        draws=certificate.draws,
    )


def stopped(
    events: Callable[[Sequence[int]], Sequence[int]], votes: int, draws: int, *, n: int
) -> tuple[Stopped]:
    """Return the only claim of the votes of a sequential test that makes at most n draws.

    Args:
        events: see `Claim`.
        votes, draws: at the look at which it was decided.
        n: draws of the test.
    """
    return (Stopped(events=events, votes=votes, draws=draws, looks=len(looks(n))),)


def budget_stated(row: Row, protocol: Protocol) -> Stated:
    """Return the draws and alpha that a protocol states, and those of a row."""
    names: Sequence[str] = ("n0", "n", "alpha")
    stated = {name: (getattr(protocol, name), row[name]) for name in names}
    return {name: pair for name, pair in stated.items() if pair[0] is not None}


def sigma_stated(row: Row, protocol: Protocol) -> Stated:
    """Return the budget and the one noise level that a protocol states, and those of a row."""
    if protocol.sigma is None:
        return budget_stated(row, protocol)
    sigma = (applied_sigma(protocol.sigma), row["sigma"])
    return {**budget_stated(row, protocol), "sigma": sigma}


def radii_stated(row: Row, protocol: OneSigmaAtRadii) -> Stated:
    """Return what protocol and row both say: the radius is one of those that were asked for."""
    return {**sigma_stated(row, protocol), "radius": protocol.claimed(row["radius"])}

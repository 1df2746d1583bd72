"""Certificates of one network at given radii, decided as soon as the draws allow."""

from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.certificates.claims import OneSigmaAtRadii, decided, radii_stated, stopped
from rszoo.certificates.columns import COUNTED, draws
from rszoo.certificates.kind import (
    NETWORK,
    Fault,
    Kind,
    Row,
    Voter,
    differing,
    disordered,
)
from rszoo.certificates.work import Test
from rszoo.theory.radii import needed_probability

__all__ = ["KIND"]


def _fault(row: Row) -> Fault | None:
    """Return what is wrong with a row, given its votes at the radius that it claims.

    That they decide the smaller radii too follows from nothing in the row: it is for those who
    know the radii (see `rszoo.smoothing.decisions`).
    """
    names = ("votes", "draws", "spent", "n")
    if fault := disordered(names, [row[name] for name in names]):
        return fault
    given = ", ".join(f"{name}={row[name]}" for name in ("votes", "draws", "n"))
    return differing(row, _claim(row), given=f"for {given}")


def _claim(row: Row) -> dict[str, float]:
    bound = needed_probability(row["radius"], row["sigma"])
    if row["predict"] == ABSTAIN or not bound < 1.0:
        return {"predict": ABSTAIN, "p_lower": 0.0, "radius": 0.0}
    test = {name: row[name] for name in ("radius", "sigma", "votes", "draws")}
    label = row["candidate"] if decided(row, **test) else ABSTAIN
    return {"predict": label, "p_lower": bound}


def _tests(row: Row) -> tuple[Test, ...]:
    return (Test(*(row[name] for name in Test._fields)),)


def _voters(certificate: Certificate) -> tuple[Voter, ...]:
    # Where the votes stopped depends on themselves: they are no sample of their proportion.
    voter = Voter(
        name=NETWORK,
        sigma=certificate.sigma,
        claims=stopped(
            lambda votes: [votes[certificate.candidate]],
            certificate.votes,
            certificate.draws,
            n=certificate.n,
        ),
    )
    return (voter,)


KIND = Kind(
    name="early",
    columns=(*COUNTED, draws("draws"), draws("spent")),
    protocol=OneSigmaAtRadii,
    details=None,
    fault=_fault,
    stated=radii_stated,
    voters=_voters,
    tests=_tests,
)

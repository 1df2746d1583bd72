"""What certificates of several experts at given radii have in common.

Every part of such a model, the expert that answers too, is decided by a sequential test for each
radius of a list (`rszoo.smoothing.decisions`), and is certified up to one of them. The certificate
is for the smallest of these, and rests on one part alone: that which really reaches least far,
whichever it is. Parts, class and list are given before the draws, so that this part is, and the
certificate claims too much only if its radius does, with probability alpha at most.
"""

from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.certificates.claims import AtRadii, decided, stopped
from rszoo.certificates.experts import (
    Answer,
    ExpertsProtocol,
    Reach,
    experts_fault,
    experts_stated,
    experts_tests,
)
from rszoo.certificates.kind import Claim, Fault, Row, Stated, disordered
from rszoo.certificates.work import Test
from rszoo.theory.radii import needed_probability

__all__ = [
    "ExpertsAtRadii",
    "early_answering",
    "early_fault",
    "early_stated",
    "early_tests",
]


class ExpertsAtRadii(AtRadii, ExpertsProtocol):
    """The protocol of certificates of several experts at given radii only."""


def early_fault(
    row: Row, *, lowest: int, highest: int, router: Reach | None = None
) -> Fault | None:
    """Return what is wrong with a row, given the votes of all parts at the radii they claim.

    That they decide the smaller radii too follows from nothing in the row: it is for those who
    know the radii (see `rszoo.smoothing.decisions`). Nor does it follow that an abstention could
    have been none, which claims nothing.

    Args:
        row, lowest, highest, router: as in `experts_fault`.
    """
    names = ("votes", "draws", "spent", "n")
    if fault := disordered(names, [row[name] for name in names]):
        return fault
    levels = {"lowest": lowest, "highest": highest}
    return experts_fault(row, **levels, router=router, answered=_answered)


def _answered(row: Row) -> Answer:
    """Return what the votes of the expert that answers decide."""
    radius, sigma = row["expert_radius"], row["sigma"]
    counts = {"votes": row["votes"], "draws": row["draws"]}
    if row["p_lower"] == 0.0 or not decided(row, radius=radius, sigma=sigma, **counts):
        return Answer(label=ABSTAIN, p_lower=0.0, radius=0.0)
    label = ABSTAIN if row["predict"] == ABSTAIN else row["candidate"]
    return Answer(label=label, p_lower=needed_probability(radius, sigma), radius=radius)


def early_tests(row: Row, *, router: Reach | None = None) -> tuple[Test, ...]:
    """Return the sequential tests of all parts of a row."""
    own = Test(radius=row["expert_radius"], sigma=row["sigma"], n=row["n"], alpha=row["alpha"])
    return (own, *experts_tests(row, router=router))


def early_stated(row: Row, protocol: ExpertsAtRadii) -> Stated:
    """Return what protocol and row both say: each expert's radius is one that was asked for."""
    stated = experts_stated(row, protocol)
    for name in ("radius", "expert_radius"):
        stated[name] = protocol.claimed(row[name])
    for other in row["others"]:
        stated[f"radius of expert {other.level}"] = protocol.claimed(other.radius)
    return stated


def early_answering(certificate: Certificate) -> Claim:
    """Return what is claimed of the votes of the expert that answers."""
    # Where the votes stopped depends on themselves: they are no sample of their proportion.
    (claim,) = stopped(
        lambda votes: [votes[certificate.candidate]],
        certificate.votes,
        certificate.draws,
        n=certificate.n,
    )
    return claim

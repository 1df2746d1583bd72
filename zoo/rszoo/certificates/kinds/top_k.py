"""Certificates of one network that its answer stays in a set of K classes.

The n0 draws choose the set S, the K classes with the most votes (of equally many, the first), and
A, the first of them. Within the radius no class outside of S is as probable as A, whatever the
order within S is: so the smoothed classifier answers a class of S. The radius is
sigma / 2 (Phi^-1(p_A) - Phi^-1(p_B)), Theorem 1 of Cohen et al. (2019) for A against each class
outside of S, of which B is the most probable. S and A are fixed by draws that nothing else uses,
and so B is, known or not: it was counted at most as often as the class outside of S that was
counted most, whose upper bound at alpha / 2 is below P(B) with probability alpha / 2 at most, as
the lower bound of A is above P(A). There is no union over the classes.

That the classes of S have more than half of the noise together would prove nothing: with
probabilities .3, .3 and .4 the first two have .6, and the answer is the third. (K / (K + 1) would
do in the place of the half, for much smaller radii than these.)

Such a certificate says of no class that it is the answer. The columns of the answer and its radius
hold an abstention therefore, for all who read the first six columns alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rszoo.certificates.base import ABSTAIN, Certificate, Details
from rszoo.certificates.claims import OneSigma, counted, sigma_stated
from rszoo.certificates.columns import COUNTED, classes, draws, index, radius, real
from rszoo.certificates.counts import largest_fault
from rszoo.certificates.kind import (
    NETWORK,
    AtLeast,
    Fault,
    Kind,
    Row,
    Stated,
    Voter,
    agrees,
    differing,
    disordered,
)
from rszoo.errors import DataError
from rszoo.theory.bounds import clopper_pearson_lower, clopper_pearson_upper
from rszoo.theory.radii import radius_between

__all__ = ["KIND", "TopK", "most_voted", "top_k_certificate"]

# In which the radii of two platforms may differ, as a share of sigma: a tenth of what each was
# rounded down by.
_DIGITS = 1e-13


@dataclass(frozen=True, kw_only=True)
class TopK(Details):
    """The details of a certificate of a set of classes.

    Attributes:
        classes: how many the network has.
        members: the classes of the set, by their votes among the n0 draws; first the candidate.
        set_radius: certified L2 radius within which the answer is one of them, pixel units; 0
            where that is not certain.
        set_votes: of the n draws, on all of them together.
        rival: the class outside of the set with the most votes of the n draws, the first of
            several.
        rival_votes: of the n draws.
        rival_upper: upper confidence bound on the probability of every class outside of the set.
    """

    classes: int
    members: tuple[int, ...]
    set_radius: float
    set_votes: int
    rival: int
    rival_votes: int
    rival_upper: float


class _TopK(OneSigma):
    """The protocol of certificates of sets of classes."""

    of_sets: ClassVar[bool] = True


def most_voted(counts0: Sequence[int], size: int) -> tuple[int, ...]:
    """Return the classes with the most votes, of equally many the first, by votes."""
    return tuple(sorted(range(len(counts0)), key=lambda c: -counts0[c])[:size])


def top_k_certificate(
    counts0: Sequence[int],
    counts: Sequence[int],
    *,
    size: int,
    n0: int,
    n: int,
    alpha: float,
    sigma: float,
) -> Certificate:
    """Return what the votes certify of a set of classes.

    Guarantee:
        With probability at least 1 - alpha over the n draws: `details.set_radius` is 0, or the
        smoothed classifier answers one of `details.members` at every point closer than it; see
        the module. It assumes that the n draws are independent of each other and of the n0
        draws, and each answered alone: not by a network that looks at its batch.

    Args:
        counts0, counts: votes on each class of the n0 and of the n draws.
        size: of the set, less than there are classes.
        n0, n, alpha, sigma: as in a `Certificate`.
    """
    members = most_voted(counts0, size)
    rival = max((c for c in range(len(counts)) if c not in members), key=counts.__getitem__)
    given = {"n0": n0, "n": n, "alpha": alpha, "sigma": sigma}
    return _certificate(
        {**given, "candidate": members[0], "votes": counts[members[0]]},
        {
            "classes": len(counts),
            "members": members,
            "set_votes": sum(counts[c] for c in members),
            "rival": rival,
            "rival_votes": counts[rival],
        },
    )


def _certificate(given: Mapping[str, Any], seen: Mapping[str, Any]) -> Certificate:
    """Return what the counts of a candidate and of the rival of its set certify."""
    n, alpha = given["n"], given["alpha"]
    lower = clopper_pearson_lower(given["votes"], n, alpha / 2)
    upper = clopper_pearson_upper(seen["rival_votes"], n, alpha / 2)
    return Certificate(
        **given,
        label=ABSTAIN,
        radius=0.0,
        p_lower=lower,
        draws=n,
        spent=n,
        details=TopK(
            **seen,
            set_radius=radius_between(lower, upper, given["sigma"]),
            rival_upper=upper,
        ),
    )


def _fault(row: Row) -> Fault | None:
    """Return what is wrong with a row, given the votes on the candidate and on the rival."""
    number, members, second = row["classes"], row["members"], row["rival_votes"]
    names = ("votes", "set_votes", "n")
    if fault := disordered(names, [row[name] for name in names]):
        return fault
    if len({*members}) != len(members) or not 1 < len(members) < number:
        return f"several of {number} classes, and not all", f"{members}"
    if max(*members, row["rival"]) >= number or row["rival"] in members:
        return f"a rival of {number} classes outside of {members}", row["rival"]
    if row["candidate"] != members[0]:
        return f"candidate={members[0]}, the first of the set", row["candidate"]
    outside = row["n"] - row["set_votes"]
    if fault := largest_fault(second, of=outside, classes=number - len(members)):
        return fault
    right = _certificate(
        {name: row[name] for name in ("candidate", "votes", "n0", "n", "alpha", "sigma")},
        {name: row[name] for name in ("classes", "members", "set_votes", "rival", "rival_votes")},
    )
    return _claim_fault(row, right)


def _claim_fault(row: Row, right: Certificate) -> Fault | None:
    """Return the fault of a row that claims otherwise than its counts give."""
    assert isinstance(right.details, TopK)
    given = "for " + ", ".join(f"{name}={row[name]}" for name in ("votes", "rival_votes", "n"))
    expected = {"predict": ABSTAIN, "radius": 0.0, "p_lower": right.p_lower}
    if fault := differing(row, expected, given=given):
        return fault
    # Of an upper bound, the inverse may not be above the right one.
    if not agrees(1.0 / row["rival_upper"], 1.0 / right.details.rival_upper):
        return f"rival_upper={right.details.rival_upper!r} {given}", row["rival_upper"]
    right_radius = radius_between(row["p_lower"], row["rival_upper"], row["sigma"])
    if abs(row["set_radius"] - right_radius) > _DIGITS * row["sigma"]:
        return f"set_radius={right_radius!r} {given}", row["set_radius"]
    return None


def _stated(row: Row, protocol: _TopK) -> Stated:
    return {**sigma_stated(row, protocol), "K": (protocol.top_k, len(row["members"]))}


def _details(certificate: Certificate) -> TopK:
    assert isinstance(certificate.details, TopK)
    return certificate.details


def _voters(certificate: Certificate) -> tuple[Voter, ...]:
    """Return the network, of whose votes a certificate says two things, as with a runner-up."""
    seen = _details(certificate)

    def without_each_outside(votes: Sequence[int]) -> list[int]:
        if len(votes) != seen.classes:
            raise DataError(f"expected rows of {len(votes)} classes, got {seen.classes}")
        return [sum(votes) - count for c, count in enumerate(votes) if c not in seen.members]

    outside = AtLeast(
        events=without_each_outside,
        votes=certificate.n - seen.rival_votes,
        draws=certificate.n,
    )
    claims = (counted(certificate), outside)
    return (Voter(name=NETWORK, sigma=certificate.sigma, claims=claims),)


def _shown_classes(certificate: Certificate) -> tuple[int, ...]:
    seen = _details(certificate)
    return seen.members if seen.set_radius > 0.0 else ()


KIND = Kind(
    name="top_k",
    columns=(
        *COUNTED,
        draws("classes"),
        classes("members"),
        radius("set_radius"),
        index("set_votes"),
        index("rival"),
        index("rival_votes"),
        real("rival_upper", lambda value: 0.0 < value <= 1.0, "a number in (0, 1]"),
    ),
    protocol=_TopK,
    details=TopK,
    fault=_fault,
    stated=_stated,
    voters=_voters,
    shown_radius=lambda certificate: _details(certificate).set_radius,
    shown_classes=_shown_classes,
    of_bundle=False,
    of_sets=True,
    note="certifies sets of classes, and no answer",
)

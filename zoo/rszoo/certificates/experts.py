"""What certificates of several experts, one of which answers, have in common."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, NamedTuple

from pydantic import Field

from rszoo.certificates.base import ABSTAIN, Certificate, Details, applied_sigma
from rszoo.certificates.claims import budget_stated, counted, decided, of_votes, stopped
from rszoo.certificates.columns import Column, index, radius, sigma
from rszoo.certificates.kind import Claim, Fault, Row, Stated, Voter, differing
from rszoo.certificates.protocol import Evaluation, Network, Protocol
from rszoo.certificates.work import Test

__all__ = [
    "MOST_EXPERTS",
    "OTHERS",
    "Answer",
    "Experts",
    "ExpertsProtocol",
    "Reach",
    "expert_names",
    "expert_voters",
    "experts_fault",
    "experts_spent",
    "experts_stated",
    "experts_tests",
    "reaches_text",
]


#: Experts of a model.
MOST_EXPERTS = 100


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far an expert certainly agrees with the class of another one, by a sequential test.

    It agrees where it answers that class or, in a cascade, where it is sure of no other.

    Attributes:
        level: the expert, from 0.
        sigma: standard deviation of its noise.
        radius: within it the expert certainly agrees; pixel units.
        votes, draws, spent: as in a `Certificate`; in a cascade, the votes are all but those for
            the most frequent other class.
    """

    level: int
    sigma: float
    radius: float
    votes: int
    draws: int
    spent: int


@dataclass(frozen=True, kw_only=True)
class Experts(Details):
    """The details of a certificate that one of several experts has given.

    Attributes:
        experts: how many there are.
        expert_level: the one that the fields of the `Certificate` are about, from 0.
        expert_radius: within it that expert certainly answers `candidate`; pixel units.
        others: what the other experts that matter say of `candidate`: those of higher levels or,
            with a router, those between its levels. Fewer where one more was not needed to
            abstain.
    """

    experts: int
    expert_level: int
    expert_radius: float
    others: tuple[Reach, ...]


class ExpertsProtocol(Protocol):
    """The protocol of certificates of several experts.

    Attributes:
        experts: how each was evaluated.
    """

    experts: Annotated[tuple[Network, ...], Field(min_length=2, max_length=MOST_EXPERTS)]

    @property
    def evaluation(self) -> Evaluation:
        """How the networks were evaluated, which is the same for all of them."""
        return self.experts[0]

    @property
    def networks(self) -> tuple[Evaluation, ...]:
        """How each of the networks was evaluated."""
        return self.experts


_REACH = tuple(field.name for field in fields(Reach))
_REACH_COLUMNS = (
    index("level"),
    sigma("sigma"),
    radius("radius"),
    index("votes"),
    index("draws"),
    index("spent"),
)


def _reaches(text: str) -> tuple[Reach, ...]:
    """Read what `reaches_text` has written."""
    return tuple(_reach(one.split(":")) for one in text.split(";") if text)


def _reach(texts: Sequence[str]) -> Reach:
    """Return one expert's reach.

    Raises:
        ValueError: there are more or fewer fields, or one is out of range.
    """
    columns = _REACH_COLUMNS
    values = [column.read(text) for column, text in zip(columns, texts, strict=True)]
    if not all(column.holds(value) for column, value in zip(columns, values, strict=True)):
        raise ValueError
    return Reach(**dict(zip(_REACH, values, strict=True)))


def reaches_text(reaches: Sequence[Reach]) -> str:
    """Return one text for all reaches: fields between colons, experts between semicolons."""
    return ";".join(":".join(repr(getattr(one, name)) for name in _REACH) for one in reaches)


#: What the other experts say.
OTHERS = Column(
    name="others",
    dtype=object,
    read=_reaches,
    expected="level:sigma:radius:votes:draws:spent of experts, by ';'",
    write=reaches_text,
)


class Answer(NamedTuple):
    """What the votes of the expert that answers give.

    Attributes:
        label: its class, or `ABSTAIN`.
        p_lower: lower bound on the probability of that class; 0 where nothing was decided.
        radius: within it the expert certainly answers the class; pixel units.
    """

    label: int
    p_lower: float
    radius: float


def of_all_draws(row: Row) -> Answer:
    """Return what all n draws of the expert that answers give."""
    expert = of_votes(row)
    return Answer(expert.label, expert.p_lower, expert.radius)


def experts_fault(
    row: Row,
    *,
    lowest: int,
    highest: int,
    router: Reach | None = None,
    answered: Callable[[Row], Answer] = of_all_draws,
) -> Fault | None:
    """Return what is wrong with a row of experts and perhaps a router, given all their votes.

    That the votes decide the smaller radii too is not in the row.

    Args:
        row: what is claimed.
        lowest, highest: the levels of the experts that it rests on.
        router: how far a router certainly chooses none but these; needed unless they are all.
        answered: what the votes of the expert that answers give.
    """
    if row["votes"] > row["n"]:
        return "votes <= n", f"{row['votes']} {row['n']}"
    for one in (*([router] if router else []), *row["others"]):
        counts = [one.votes, one.draws, one.spent, row["n"]]
        if counts != sorted(counts):
            return "votes <= draws <= spent <= n", " ".join(map(str, counts))
    if not lowest <= row["expert_level"] <= highest < row["experts"]:
        return "levels from the lowest to the highest", row["expert_level"]
    limits = list(row["others"])
    if router is not None and highest - lowest + 1 < row["experts"]:
        limits.append(router)
    right = _right(row, lowest, highest, limits, answered(row))
    return differing(row, right, given="for the row's votes")


def _right(
    row: Row, lowest: int, highest: int, limits: Sequence[Reach], expert: Answer
) -> dict[str, float]:
    """Return what the votes give, by column: the smallest radius of all parts, if all decide."""
    levels = sorted([row["expert_level"], *(one.level for one in row["others"])])
    reached = (
        expert.label != ABSTAIN
        and len(levels) == highest - lowest + 1  # what a row claims may be any number
        and levels == list(range(lowest, highest + 1))
        and all(_decides(row, one) for one in limits)
    )
    return {
        "p_lower": expert.p_lower,
        "expert_radius": expert.radius,
        "radius": min([row["expert_radius"], *(one.radius for one in limits)]) if reached else 0.0,
        "predict": expert.label if reached else ABSTAIN,
    }


def _decides(row: Row, one: Reach) -> bool:
    return decided(row, radius=one.radius, sigma=one.sigma, votes=one.votes, draws=one.draws)


def experts_tests(row: Row, *, router: Reach | None = None) -> Iterator[Test]:
    """Yield the sequential tests of the other experts of a row, and of its router."""
    for one in (*([router] if router else []), *row["others"]):
        yield Test(radius=one.radius, sigma=one.sigma, n=row["n"], alpha=row["alpha"])


def experts_spent(row: Row) -> tuple[int, ...]:
    """Return the draws for estimation that each of the experts of a row has made."""
    return (row["spent"], *(one.spent for one in row["others"]))


def experts_stated(row: Row, protocol: ExpertsProtocol) -> Stated:
    """Return what a protocol states of the budget and of experts, and what a row says."""
    stated = budget_stated(row, protocol)
    stated["experts"] = (len(protocol.experts), row["experts"])
    if len(protocol.experts) != row["experts"]:
        return stated
    sigmas = [applied_sigma(one.sigma) for one in protocol.experts]
    if row["expert_level"] < len(sigmas):  # that it is, the votes are asked
        stated["sigma"] = (sigmas[row["expert_level"]], row["sigma"])
    for other in row["others"]:
        known = sigmas[other.level] if other.level < len(sigmas) else math.nan
        stated[f"sigma of expert {other.level}"] = (known, other.sigma)
    return stated


def expert_names(count: int) -> tuple[str, ...]:
    """Return the names of a classifier's voters that are its experts, by level."""
    return tuple(f"expert {level}" for level in range(count))


def expert_voters(
    certificate: Certificate,
    details: Experts,
    *,
    events: Callable[[Sequence[int]], Sequence[int]],
    answering: Claim | None = None,
) -> tuple[Voter, ...]:
    """Return the experts that a certificate rests on, the one that answers first.

    Args:
        certificate: of several experts.
        details: those of the certificate.
        events: that the radii of the other experts are about, see `Claim`.
        answering: what is said of the votes of the one that answers; None: that they are of all
            its n draws.
    """
    names = expert_names(details.experts)
    first = Voter(
        name=names[details.expert_level],
        sigma=certificate.sigma,
        claims=(answering or counted(certificate),),
    )
    others = (
        Voter(
            name=names[one.level],
            sigma=one.sigma,
            claims=stopped(events, one.votes, one.draws, n=certificate.n),
        )
        for one in details.others
    )
    return (first, *others)

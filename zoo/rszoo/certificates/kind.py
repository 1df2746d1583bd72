"""What a kind of certificate is: its columns, what its votes claim, and what can be verified."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rszoo.certificates.base import ABSTAIN, Certificate, Details
from rszoo.certificates.columns import Column
from rszoo.certificates.protocol import Protocol
from rszoo.certificates.work import Test
from rszoo.theory.agreement import stopped_p_value
from rszoo.theory.bounds import rarer_p_value, same_proportion_p_value

__all__ = [
    "BOUNDS",
    "NETWORK",
    "ONE_SIDED",
    "RUNNER_UP",
    "AtLeast",
    "Claim",
    "Fault",
    "Kind",
    "Row",
    "Sample",
    "Stated",
    "Stopped",
    "Voter",
    "agrees",
    "differing",
    "disordered",
]

#: The bound of the published certificates: of the class, against all others together.
ONE_SIDED = "one-sided"

#: Of the class, and of each other one.
RUNNER_UP = "runner-up"

#: What may be bounded. "chosen": the better of both, by the draws that select the class.
BOUNDS = (ONE_SIDED, RUNNER_UP, "chosen")

#: The values of a row by column.
Row = Mapping[str, Any]

#: What was expected of a row, and what it says instead.
Fault = tuple[str, object]

#: From the votes of the n0 draws, those of the n draws, and n0, n, alpha and sigma by name.
OfCounts = Callable[..., Certificate]

#: By name, what the protocol says and what the row says.
Stated = dict[str, tuple[Any, Any]]

#: The voter of a classifier that has only one.
NETWORK = "network"

# Versions of scipy differ in the last digits of a quantile: by 1.2e-14 of it, from 1.13 to 1.17.
# What is claimed may be larger by that much, which is less than it was rounded down by (2^-40, see
# rszoo.theory.bounds), and smaller by more.
_ABOVE, _BELOW = 1e-13, 1e-9


@dataclass(frozen=True, kw_only=True)
class Claim(ABC):
    """What a row says of how often some events happened, which fresh draws can test.

    Attributes:
        events: from the votes on each class to the draws in which each of the events happened.
        votes, draws: the row's count, of the rarest of them.
    """

    events: Callable[[Sequence[int]], Sequence[int]]
    votes: int
    draws: int

    @property
    def sample(self) -> tuple[int, int] | None:
        """Votes and draws that are a sample of the event's proportion; None where none are."""
        return None

    @abstractmethod
    def p_value(self, votes: int, draws: int) -> float:
        """Return how likely new counts differ as much, if the row's are of the same network."""

    def p_values(self, votes: Sequence[int]) -> list[float]:
        """Return `p_value` for each of the events, given the new votes on each class."""
        draws = sum(votes)
        return [self.p_value(count, draws) for count in self.events(votes)]


@dataclass(frozen=True, kw_only=True)
class Sample(Claim):
    """The claim that an event was counted so often in all draws of a row."""

    @property
    def sample(self) -> tuple[int, int]:
        """The votes and draws of the row, which are all made in any case."""
        return self.votes, self.draws

    def p_value(self, votes: int, draws: int) -> float:
        """See `Claim`; the event may have become rarer or more frequent."""
        return same_proportion_p_value(self.votes, self.draws, votes, draws)


@dataclass(frozen=True, kw_only=True)
class AtLeast(Claim):
    """The claim that each event was counted at least so often in all draws of a row."""

    def p_value(self, votes: int, draws: int) -> float:
        """See `Claim`; the event may have become rarer."""
        return rarer_p_value(self.votes, self.draws, votes, draws)


@dataclass(frozen=True, kw_only=True)
class Stopped(Claim):
    """The claim that each event was counted at least so often when a test had decided.

    Attributes:
        looks: how many looks the sequential test has, at one of which the votes are counted.
    """

    looks: int

    def p_value(self, votes: int, draws: int) -> float:
        """See `Claim`; the event may have become rarer."""
        return stopped_p_value(self.votes, self.draws, self.looks, votes, draws)


@dataclass(frozen=True, kw_only=True)
class Voter:
    """A smoothed network whose votes a row rests on, and what fresh draws of it can test.

    Attributes:
        name: in the classifier's `voters`.
        sigma: the noise level under which it voted, pixel units.
        claims: what the row says of its votes; the first is about those for the candidate where
            the network answers.
        searched: whether the noise level was searched for the input, rather than the voter's own.
    """

    name: str
    sigma: float
    claims: tuple[Claim, ...]
    searched: bool = False

    @property
    def draws(self) -> int:
        """The draws that its claims are about."""
        return max(claim.draws for claim in self.claims)


def _labelled(certificate: Certificate) -> tuple[int, ...]:
    """Return the class of a certificate, if it has one."""
    return () if certificate.label == ABSTAIN else (certificate.label,)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of certificate.

    Attributes:
        name: in `protocol["kind"]`.
        columns: of its logs, in order; no other kind has the same.
        protocol: what its logs state.
        details: the class of `Certificate.details`; None where there are none.
        fault: what is wrong with a row, given its votes; None where it may be true.
        stated: what the protocol of a row's log and the row both say.
        voters: who voted in a row: the first is the one that the row's `votes` are of. An
            abstention claims nothing of the others.
        voter_names: the names of all voters of a classifier whose row this is.
        shown_radius: the radius to show; another one than `radius` where that is not certified,
            or is of a set.
        shown_classes: the classes one of which is the answer within that radius; none for an
            abstention.
        marked: the kind of before whose protocol states the same, by what it is told apart; None
            for its own.
        bound: what is bounded, one of `BOUNDS`. Numbers of different bounds never stand in one
            table.
        of_counts: the certificate of one network from the votes of the n0 draws and of all n; None
            where these are not all that it rests on.
        at_alpha: what the votes of a certificate certify at another failure probability; None
            where they stopped early or are of several parts, and do not say.
        tests: the sequential tests that `fault` works out for a row.
        spent: how many draws for estimation each part of a row has made; at given radii of all
            parts, else of the one that makes them all.
        redrawn: whether the votes were drawn for the row's own input.
        counted: whether rows hold the counts that they rest on; False: neither those nor a
            protocol, nor names of inputs.
        of_sets: whether sets of classes are certified; False: single ones. Both have nothing to
            do with each other, and stand in no table together.
        certifies: whether radii are certified; False: they are nominal.
        independent: whether every row stands for itself, so that logs may be merged.
        of_bundle: whether a bundle alone gives such certificates, so that it may hold them.
        one_sigma: whether all rows are under the noise level that the protocol states.
        note: what tables must say of such certificates; None for nothing.
    """

    name: str
    columns: tuple[Column, ...]
    protocol: type[Protocol]
    details: type[Details] | None
    fault: Callable[[Row], Fault | None]
    stated: Callable[[Row, Any], Stated]
    voters: Callable[[Certificate], tuple[Voter, ...]]
    voter_names: Callable[[Certificate], tuple[str, ...]] = lambda certificate: (NETWORK,)
    shown_radius: Callable[[Certificate], float] = lambda certificate: certificate.radius
    shown_classes: Callable[[Certificate], tuple[int, ...]] = _labelled
    marked: str | None = None
    bound: str = ONE_SIDED
    of_counts: OfCounts | None = None
    at_alpha: Callable[[Certificate, float], Certificate] | None = None
    tests: Callable[[Row], Iterable[Test]] = lambda row: ()
    spent: Callable[[Row], Sequence[int]] = lambda row: (row["spent"],)
    redrawn: Callable[[Certificate], bool] = lambda certificate: True
    counted: bool = True
    of_sets: bool = False
    certifies: bool = True
    independent: bool = True
    of_bundle: bool = True
    one_sigma: bool = True
    note: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)


def disordered(names: Sequence[str], counts: Sequence[int]) -> Fault | None:
    """Return the fault of counts that should not decrease; None if they do not."""
    if list(counts) == sorted(counts):
        return None
    return " <= ".join(names), " ".join(map(str, counts))


def agrees(stated: float, right: float) -> bool:
    """Return whether a stated value is the right one but for the arithmetic of another scipy.

    Guarantee:
        A bound or a radius that was rounded down, as all are, and agrees, is not above the exact
        one.

    Args:
        stated: what a row claims.
        right: what follows from its votes, computed here.
    """
    return stated == right or right * (1.0 - _BELOW) <= stated <= right * (1.0 + _ABOVE)


def differing(row: Row, right: Mapping[str, float], *, given: str) -> Fault | None:
    """Return the fault of the first value that is another than the right one; None without any.

    Args:
        row: what is claimed.
        right: by column, what follows from the votes.
        given: what it follows from, in words.
    """
    for name, value in right.items():
        if not agrees(row[name], value):
            return f"{name}={value!r} {given}", row[name]
    return None

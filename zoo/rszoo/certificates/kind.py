"""What a kind of certificate is: its columns, what its votes claim, and what can be verified."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rszoo.certificates.base import Certificate, Details
from rszoo.certificates.columns import Column
from rszoo.certificates.protocol import Protocol
from rszoo.certificates.work import Test
from rszoo.theory.agreement import stopped_p_value
from rszoo.theory.bounds import same_proportion_p_value

__all__ = [
    "NETWORK",
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

#: The values of a row by column.
Row = Mapping[str, Any]

#: What was expected of a row, and what it says instead.
Fault = tuple[str, object]

#: By name, what the protocol says and what the row says.
Stated = dict[str, tuple[Any, Any]]

#: The voter of a classifier that has only one.
NETWORK = "network"

# Versions of scipy differ in the last digits of a quantile: by 1.2e-14 of it, from 1.13 to 1.17.
# What is claimed may be larger by that much, which is less than it was rounded down by (2^-40, see
# rszoo.theory.bounds), and smaller by more.
_ABOVE, _BELOW = 1e-13, 1e-9


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The claim that an event was counted so often in so many draws.

    Attributes:
        votes, draws: the counts of a row that rests on all its draws.
    """

    votes: int
    draws: int

    def p_value(self, votes: int, draws: int) -> float:
        """Return how likely new counts differ as much, if the row's are of the same network."""
        return same_proportion_p_value(self.votes, self.draws, votes, draws)


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """The claim that an event was counted at least so often when a sequential test had decided.

    Attributes:
        votes, draws: the counts at a look of the test.
        looks: how many looks it has.
    """

    votes: int
    draws: int
    looks: int

    def p_value(self, votes: int, draws: int) -> float:
        """Return how likely so few new votes are, if the row's are of the same network."""
        return stopped_p_value(self.votes, self.draws, self.looks, votes, draws)


@dataclass(frozen=True, kw_only=True)
class Voter:
    """A smoothed network whose votes a row rests on, and the events that fresh draws can test.

    Attributes:
        name: in the classifier's `voters`.
        sigma: the noise level under which it voted, pixel units.
        counts: from the votes on each class to the draws in which each of some events happened.
        claim: what the row says of every one of these events; of the rarest, it is the count.
        searched: whether the noise level was searched for the input, rather than the voter's own.
    """

    name: str
    sigma: float
    counts: Callable[[Sequence[int]], Sequence[int]]
    claim: Sample | Stopped
    searched: bool = False


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
        shown_radius: the radius to show; another one than `radius` where that is not certified.
        at_alpha: what the votes of a certificate certify at another failure probability; None
            where they stopped early or are of several parts, and do not say.
        tests: the sequential tests that `fault` works out for a row.
        redrawn: whether the votes were drawn for the row's own input.
        counted: whether rows hold the counts that they rest on; False: neither those nor a
            protocol, nor names of inputs.
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
    at_alpha: Callable[[Certificate, float], Certificate] | None = None
    tests: Callable[[Row], Iterable[Test]] = lambda row: ()
    redrawn: Callable[[Certificate], bool] = lambda certificate: True
    counted: bool = True
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

"""The votes on all classes, as kinds that bound the runner-up hold them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rszoo.certificates.base import Details
from rszoo.certificates.columns import Column, draws, index, real
from rszoo.certificates.kind import Fault, Row, disordered
from rszoo.errors import DataError

__all__ = [
    "COUNTS",
    "RunnerUp",
    "counts_fault",
    "largest_fault",
    "runner_up_of",
    "without_each_other",
]

#: Classes of a network whose counts are all in the rows.
_ALL_COUNTS = 20


@dataclass(frozen=True, kw_only=True)
class RunnerUp(Details):
    """The details of a certificate that bounds the runner-up too.

    Attributes:
        classes: how many the network has.
        runner_up: the class other than the candidate with the most votes of the n draws, the first
            of several.
        runner_up_votes: of the n draws.
        other_upper: upper confidence bound on the probability of every class but the candidate.
        counts: the votes on each class; empty for more than 20 classes.
    """

    classes: int
    runner_up: int
    runner_up_votes: int
    other_upper: float
    counts: tuple[int, ...]

    @classmethod
    def of(cls, counts0: Sequence[int], counts: Sequence[int], candidate: int) -> "RunnerUp":
        """Return the details that votes on each class give; the bound is not known yet.

        Args:
            counts0, counts: of the n0 and of the n draws.
            candidate: the class of the certificate.
        """
        return cls(**cls.counted(counts0, counts, candidate), other_upper=1.0)

    @classmethod
    def in_row(cls, row: Row) -> "RunnerUp":
        """Return the details that a row states."""
        return cls(**{field.name: row[field.name] for field in fields(cls)})

    @classmethod
    def counted(
        cls, counts0: Sequence[int], counts: Sequence[int], candidate: int
    ) -> dict[str, Any]:
        """Return the fields that are counted; a kind adds its own."""
        second = runner_up_of(counts, candidate)
        return {
            "classes": len(counts),
            "runner_up": second,
            "runner_up_votes": counts[second],
            "counts": tuple(counts) if len(counts) <= _ALL_COUNTS else (),
        }


def runner_up_of(counts: Sequence[int], candidate: int) -> int:
    """Return the class other than the candidate with the most votes, the first of several."""
    others = (c for c in range(len(counts)) if c != candidate)
    return max(others, key=counts.__getitem__)


def largest_fault(votes: int, *, of: int, classes: int) -> Fault | None:
    """Return the fault of a count that is not the largest of some classes.

    Args:
        votes: the count.
        of: the votes of all these classes together.
        classes: how many they are.
    """
    if votes <= of <= votes * classes:
        return None
    return f"the most votes of {classes} classes that have {of} together", votes


def counts_fault(row: Row, *, of: str) -> Fault | None:
    """Return what is wrong with the counts of a row, whatever it claims.

    Args:
        row: its votes.
        of: the column of the draws in which they were counted.
    """
    classes, votes, second = row["classes"], row["votes"], row["runner_up_votes"]
    draws = row[of]
    if fault := disordered(("votes", of), (votes, draws)):
        return fault
    if row["candidate"] == row["runner_up"] or max(row["candidate"], row["runner_up"]) >= classes:
        return f"two of {classes} classes", f"{row['candidate']} and {row['runner_up']}"
    if fault := largest_fault(second, of=draws - votes, classes=classes - 1):
        return fault
    counts = row["counts"]
    if len(counts) != (classes if classes <= _ALL_COUNTS else 0):
        return f"the counts of {classes} classes (of none above {_ALL_COUNTS})", len(counts)
    if counts:
        runner_up = runner_up_of(counts, row["candidate"])
        right = (sum(counts), counts[row["candidate"]], runner_up, counts[runner_up])
        given = (draws, votes, row["runner_up"], second)
        if given != right:
            return f"{of}, votes, runner_up and its votes {right} for the row's counts", given
    return None


def without_each_other(seen: RunnerUp, candidate: int) -> Callable[[Sequence[int]], list[int]]:
    """Return what counts the draws on all classes but one, for each but the candidate.

    Args:
        seen: the details of a certificate.
        candidate: its class.
    """

    def events(votes: Sequence[int]) -> list[int]:
        if len(votes) != seen.classes:
            raise DataError(f"expected rows of {len(votes)} classes, got {seen.classes}")
        return [sum(votes) - count for c, count in enumerate(votes) if c != candidate]

    return events


def _read_counts(text: str) -> tuple[int, ...]:
    return tuple(int(count) for count in text.split(":") if text)


#: The columns of these votes.
COUNTS = (
    draws("classes"),
    index("runner_up"),
    index("runner_up_votes"),
    real("other_upper", lambda value: 0.0 < value <= 1.0, "a number in (0, 1]"),
    Column(
        name="counts",
        dtype=object,
        read=_read_counts,
        holds=lambda counts: all(0 <= count < 1 << 63 for count in counts),
        expected="the votes on each class, with ':' between them",
        write=lambda counts: ":".join(map(str, counts)),
    ),
)

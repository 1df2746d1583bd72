"""What kinds of certificates that bound the runner-up have in common.

The radius is sigma / 2 (Phi^-1(p_A) - Phi^-1(p_B)), Theorem 1 of Cohen et al. (2019) as it stands,
for a lower bound on the probability of the candidate A and an upper bound on that of every other
class.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

from rszoo.certificates.base import ABSTAIN, Certificate, Details
from rszoo.certificates.claims import OneSigma, counted, sigma_stated
from rszoo.certificates.columns import COUNTED, Column, draws, index, real
from rszoo.certificates.kind import (
    NETWORK,
    AtLeast,
    Fault,
    Kind,
    Row,
    Voter,
    agrees,
    differing,
    disordered,
)
from rszoo.errors import DataError
from rszoo.theory.radii import radius_between

__all__ = ["Bounds", "RunnerUp", "kind_with", "largest_fault", "runner_up_of"]

#: Classes of a network whose counts are all in the rows.
_ALL_COUNTS = 20

# In which the radii of two platforms may differ, as a share of sigma: a tenth of what each was
# rounded down by.
_DIGITS = 1e-13

# Fields of a certificate that a row has under the same names, and that nothing follows from.
_BUDGET = ("n0", "n", "alpha")
_GIVEN = ("candidate", "votes", *_BUDGET, "sigma")


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


class Bounds(Protocol):
    """What a kind makes of the counts."""

    def __call__(
        self,
        votes: int,
        seen: Any,  # noqa: ANN401 - the details of the kind
        *,
        n0: int,
        n: int,
        alpha: float,
    ) -> tuple[float, float]:
        """Return a lower bound on the candidate's probability, and an upper one on each other's.

        Guarantee:
            With probability at least 1 - alpha over the draws both hold, if the n draws are
            independent of each other and of the n0 draws.

        Args:
            votes: on the candidate, of the n draws.
            seen: the other counts, the kind's details.
            n0, n, alpha: as in a `Certificate`.
        """
        ...


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


def kind_with(
    bounds: Bounds,
    details: type[RunnerUp],
    *,
    name: str,
    bound: str,
    columns: Sequence[Column] = (),
    fault: Callable[[Row], Fault | None] = lambda row: None,
) -> Kind:
    """Return a kind of certificates that bound the runner-up.

    Args:
        bounds: what the counts give.
        details: with the fields of all counts.
        name, bound: see `Kind`.
        columns: that its details add.
        fault: what is wrong with the counts in these.
    """

    def certified(given: Mapping[str, Any], seen: RunnerUp) -> Certificate:
        lower, upper = bounds(given["votes"], seen, **{name: given[name] for name in _BUDGET})
        return _certificate(given, lower, replace(seen, other_upper=upper))

    def of_counts(counts0: Sequence[int], counts: Sequence[int], **budget: Any) -> Certificate:
        candidate = counts0.index(max(counts0))
        given = {"candidate": candidate, "votes": counts[candidate], **budget}
        return certified(given, details.of(counts0, counts, candidate))

    def at_alpha(certificate: Certificate, alpha: float) -> Certificate:
        assert isinstance(certificate.details, details)
        return certified({**vars(certificate), "alpha": alpha}, certificate.details)

    def wrong(row: Row) -> Fault | None:
        if found := _counts_fault(row) or fault(row):
            return found
        return _claim_fault(row, certified(row, details.in_row(row)))

    return Kind(
        name=name,
        columns=(*COUNTED, *_COLUMNS, *columns),
        protocol=OneSigma,
        details=details,
        fault=wrong,
        stated=sigma_stated,
        voters=_voters,
        bound=bound,
        of_counts=of_counts,
        at_alpha=at_alpha,
    )


def _certificate(given: Mapping[str, Any], p_lower: float, seen: RunnerUp) -> Certificate:
    """Return what two bounds certify.

    Guarantee:
        Where both bounds hold: the certificate abstains, or the smoothed classifier answers
        `label` at every point closer than `radius`.
    """
    certified = p_lower > seen.other_upper
    return Certificate(
        **{name: given[name] for name in _GIVEN},
        label=given["candidate"] if certified else ABSTAIN,
        radius=radius_between(p_lower, seen.other_upper, given["sigma"]),
        p_lower=p_lower,
        draws=given["n"],
        spent=given["n"],
        details=seen,
    )


def _counts_fault(row: Row) -> Fault | None:
    """Return what is wrong with the counts of a row, whatever it claims."""
    classes, votes, second = row["classes"], row["votes"], row["runner_up_votes"]
    if fault := disordered(("votes", "n"), (votes, row["n"])):
        return fault
    if row["candidate"] == row["runner_up"] or max(row["candidate"], row["runner_up"]) >= classes:
        return f"two of {classes} classes", f"{row['candidate']} and {row['runner_up']}"
    if fault := largest_fault(second, of=row["n"] - votes, classes=classes - 1):
        return fault
    counts = row["counts"]
    if len(counts) != (classes if classes <= _ALL_COUNTS else 0):
        return f"the counts of {classes} classes (of none above {_ALL_COUNTS})", len(counts)
    if counts:
        runner_up = runner_up_of(counts, row["candidate"])
        right = (sum(counts), counts[row["candidate"]], runner_up, counts[runner_up])
        given = (row["n"], votes, row["runner_up"], second)
        if given != right:
            return f"n, votes, runner_up and its votes {right} for the row's counts", given
    return None


def _claim_fault(row: Row, right: Certificate) -> Fault | None:
    """Return the fault of a row that claims otherwise than its counts give.

    The bounds are those of the row, where they agree with the counts: versions of scipy differ in
    their last digits.
    """
    assert isinstance(right.details, RunnerUp)
    counts = {name: row[name] for name in ("votes", "runner_up_votes", "n")}
    given = "for " + ", ".join(f"{name}={count}" for name, count in counts.items())
    if fault := differing(row, {"p_lower": right.p_lower}, given=given):
        return fault
    # Of an upper bound, the inverse may not be above the right one.
    if not agrees(1.0 / row["other_upper"], 1.0 / right.details.other_upper):
        return f"other_upper={right.details.other_upper!r} {given}", row["other_upper"]
    right = _certificate(
        row, row["p_lower"], replace(right.details, other_upper=row["other_upper"])
    )
    if abs(row["radius"] - right.radius) > _DIGITS * row["sigma"]:
        return f"radius={right.radius!r} {given}", row["radius"]
    return differing(row, {"predict": right.label}, given=given)


def _voters(certificate: Certificate) -> tuple[Voter, ...]:
    """Return the network, of whose votes a certificate says two things.

    One is how often the candidate was counted. The other is that no other class was counted more
    often than the runner-up, which is tested for each of them by itself: as the largest of several
    counts, that of the runner-up is no sample of its probability.
    """
    seen, candidate = certificate.details, certificate.candidate
    assert isinstance(seen, RunnerUp)
    classes = seen.classes

    def without_each_other(votes: Sequence[int]) -> list[int]:
        if len(votes) != classes:
            raise DataError(f"expected rows of {len(votes)} classes, got {classes}")
        return [sum(votes) - count for c, count in enumerate(votes) if c != candidate]

    others = AtLeast(
        events=without_each_other,
        votes=certificate.n - seen.runner_up_votes,
        draws=certificate.n,
    )
    claims = (counted(certificate), others)
    return (Voter(name=NETWORK, sigma=certificate.sigma, claims=claims),)


def _read_counts(text: str) -> tuple[int, ...]:
    return tuple(int(count) for count in text.split(":") if text)


_COLUMNS = (
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

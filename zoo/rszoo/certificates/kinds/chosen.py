"""Certificates of one network by the better of two bounds, as the n0 draws let expect.

The bound of `fixed`, against all other classes together, has the larger radius where nearly all
draws agree, as it need not halve alpha; that of `runner_up` has it elsewhere. Which one holds is
decided before the n draws are made: to take the larger of the two afterwards would need alpha / 2
for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rszoo.certificates.columns import index
from rszoo.certificates.counts import RunnerUp, largest_fault, runner_up_of
from rszoo.certificates.kind import Fault, Row, disordered
from rszoo.certificates.kinds import runner_up
from rszoo.certificates.runner_up import kind_with
from rszoo.theory.bounds import clopper_pearson_lower, clopper_pearson_upper
from rszoo.theory.radii import radius_between

__all__ = ["KIND", "Chosen", "bounds"]


@dataclass(frozen=True, kw_only=True)
class Chosen(RunnerUp):
    """The details of a certificate whose bound the n0 draws have chosen.

    Attributes:
        first_votes: of the n0 draws, on the candidate.
        first_runner_up_votes: of the n0 draws, on the class that has the most beside it.
    """

    first_votes: int
    first_runner_up_votes: int

    @classmethod
    def counted(
        cls, counts0: Sequence[int], counts: Sequence[int], candidate: int
    ) -> dict[str, Any]:
        """Return the fields that are counted."""
        return {
            **super().counted(counts0, counts, candidate),
            "first_votes": counts0[candidate],
            "first_runner_up_votes": counts0[runner_up_of(counts0, candidate)],
        }


def bounds(votes: int, seen: Chosen, *, n0: int, n: int, alpha: float) -> tuple[float, float]:
    """Return a lower bound on the candidate's probability, and an upper one on each other's.

    They are those of `runner_up`, or a lower bound at the whole alpha and what it leaves for the
    others: the latter where it gives more for counts in the proportions of the n0 draws.

    Guarantee:
        With probability at least 1 - alpha over the n draws both hold, whatever the n0 draws are,
        if the draws are independent of each other: the n0 draws alone decide which bounds these
        are, and each of the two pairs holds with that probability.

    Args:
        votes: on the candidate.
        seen: those on the runner-up, and of the n0 draws.
        n0, n, alpha: as in a `Certificate`.
    """
    budget = {"n0": n0, "n": n, "alpha": alpha}
    expected = round(seen.first_votes / n0 * n)
    others = replace(seen, runner_up_votes=round(seen.first_runner_up_votes / n0 * n))
    with_runner_up = radius_between(*runner_up.bounds(expected, others, **budget), 1.0)
    # Where both expect nothing, the runner-up's may still find something.
    if with_runner_up >= radius_between(*_against_all(expected, n=n, alpha=alpha), 1.0):
        return runner_up.bounds(votes, seen, **budget)
    return _against_all(votes, n=n, alpha=alpha)


def _against_all(votes: int, *, n: int, alpha: float) -> tuple[float, float]:
    """Return two bounds that are one: p is below it where 1 - p is above the other."""
    return clopper_pearson_lower(votes, n, alpha), clopper_pearson_upper(n - votes, n, alpha)


def _fault(row: Row) -> Fault | None:
    """Return what is wrong with the counts of the n0 draws."""
    first, second = row["first_votes"], row["first_runner_up_votes"]
    names = ("first_runner_up_votes", "first_votes", "n0")
    return disordered(names, (second, first, row["n0"])) or largest_fault(
        second, of=row["n0"] - first, classes=row["classes"] - 1
    )


KIND = kind_with(
    bounds,
    Chosen,
    name="chosen",
    bound="chosen",
    columns=(index("first_votes"), index("first_runner_up_votes")),
    fault=_fault,
)

"""Certificates of one network that bound its runner-up, from a fixed number of draws.

No union over the classes is paid for. The candidate A is fixed by the n0 draws; so is B, the most
probable other class (of several, the first): the n draws have no part in it, though nobody knows
which it is. B was counted at most as often as the class that was counted most, and the upper bound
grows with the count. So the bound of the largest other count is below P(B) with probability
alpha / 2 at most; where it is not, no other class is more probable than it says.
"""

from rszoo.certificates.counts import RunnerUp
from rszoo.certificates.kind import RUNNER_UP
from rszoo.certificates.runner_up import kind_with
from rszoo.theory.bounds import clopper_pearson_lower, clopper_pearson_upper

__all__ = ["KIND", "bounds"]


def bounds(votes: int, seen: RunnerUp, *, n0: int, n: int, alpha: float) -> tuple[float, float]:
    """Return a lower bound on the candidate's probability, and an upper one on each other's.

    Guarantee:
        With probability at least 1 - alpha over the n draws both hold, each with 1 - alpha / 2, if
        the draws are independent of each other and of the choice of the candidate.

    Args:
        votes: on the candidate.
        seen: those on the runner-up.
        n0, n, alpha: as in a `Certificate`.
    """
    lower = clopper_pearson_lower(votes, n, alpha / 2)
    return lower, clopper_pearson_upper(seen.runner_up_votes, n, alpha / 2)


KIND = kind_with(bounds, RunnerUp, name="runner_up", bound=RUNNER_UP)

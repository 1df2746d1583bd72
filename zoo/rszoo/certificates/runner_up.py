"""What kinds of certificates that bound the runner-up have in common.

The radius is sigma / 2 (Phi^-1(p_A) - Phi^-1(p_B)), Theorem 1 of Cohen et al. (2019) as it stands,
for a lower bound on the probability of the candidate A and an upper bound on that of every other
class.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.certificates.claims import OneSigma, counted, sigma_stated
from rszoo.certificates.columns import COUNTED, Column
from rszoo.certificates.counts import COUNTS, RunnerUp, counts_fault, without_each_other
from rszoo.certificates.kind import (
    NETWORK,
    AtLeast,
    Fault,
    Kind,
    Row,
    Voter,
    agrees,
    differing,
)
from rszoo.theory.radii import radius_between

__all__ = ["Bounds", "kind_with"]

# In which the radii of two platforms may differ, as a share of sigma: a tenth of what each was
# rounded down by.
_DIGITS = 1e-13

# Fields of a certificate that a row has under the same names, and that nothing follows from.
_BUDGET = ("n0", "n", "alpha")
_GIVEN = ("candidate", "votes", *_BUDGET, "sigma")


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
        if found := counts_fault(row, of="n") or fault(row):
            return found
        return _claim_fault(row, certified(row, details.in_row(row)))

    return Kind(
        name=name,
        columns=(*COUNTED, *COUNTS, *columns),
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
    others = AtLeast(
        events=without_each_other(seen, candidate),
        votes=certificate.n - seen.runner_up_votes,
        draws=certificate.n,
    )
    claims = (counted(certificate), others)
    return (Voter(name=NETWORK, sigma=certificate.sigma, claims=claims),)

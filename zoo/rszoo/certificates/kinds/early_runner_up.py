"""Certificates of one network at given radii that bound its runner-up, decided early.

Two things are bounded at every look, each at alpha / 2: from below, the probability of the
candidate, and that of all classes but one, for every other one (`rszoo.theory.steps`). With
probability at least 1 - alpha no bound is too large at any look: the candidate A was fixed by the
n0 draws; so was B, the most probable other class (of several, the first), though nobody knows
which it is. B has at most the votes of the class that was counted most, so that all but B have at
least what is tested, and no union over the classes is paid for. As the bounds hold at all looks,
it does not matter which radii are asked for, nor at which look the draws end.

Both tests could have the whole alpha if each radius had one pair of proportions in which the draws
for estimation have no part: at the smallest radius that cannot be certified one given statement
of the two is false. Pairs by the n0 draws lie beside the right ones, which costs more than half of
alpha does (bench/RESULTS.md). Pairs by the very draws that they are tested with are no such pairs.
"""

from collections.abc import Sequence
from dataclasses import replace

from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.certificates.claims import OneSigmaAtRadii, exceeded, radii_stated, stopped
from rszoo.certificates.columns import COUNTED, draws
from rszoo.certificates.counts import COUNTS, RunnerUp, counts_fault, without_each_other
from rszoo.certificates.kind import (
    NETWORK,
    RUNNER_UP,
    Fault,
    Kind,
    Row,
    Voter,
    differing,
    disordered,
)
from rszoo.certificates.work import Test
from rszoo.theory.steps import STEPS, proportion, step_of, steps_needed

__all__ = ["KIND", "early_certificate", "work"]


def early_certificate(
    candidate: int,
    counts: Sequence[int],
    *,
    radius: float | None,
    steps: tuple[int, int],
    n0: int,
    n: int,
    alpha: float,
    sigma: float,
    spent: int,
) -> Certificate:
    """Return the certificate of the votes at the look at which a radius was decided.

    Guarantee:
        With probability at least 1 - alpha over the draws: the certificate abstains, or the
        smoothed classifier answers `label` at every point closer than `radius`; see the module.
        It assumes that the steps are those that the votes at this look decide for at alpha / 2,
        and that the radius needs no more.

    Args:
        candidate: the class.
        counts: the votes on each class, of all draws up to the look.
        radius: that is certified; None for none.
        steps: that the candidate's probability exceeds, and that of all but each other class.
        n0, n, alpha, sigma, spent: as in a `Certificate`.
    """
    certified = radius is not None
    seen = RunnerUp.of([], counts, candidate)
    return Certificate(
        label=candidate if certified else ABSTAIN,
        radius=radius if certified else 0.0,
        p_lower=proportion(steps[0]) if certified else 0.0,
        candidate=candidate,
        votes=counts[candidate],
        n0=n0,
        n=n,
        alpha=alpha,
        sigma=sigma,
        draws=sum(counts),
        spent=spent,
        details=replace(seen, other_upper=1.0 - proportion(steps[1]) if certified else 1.0),
    )


def work(step: int, *, n: int, alpha: float) -> Test:
    """Return the test of one step, for `rszoo.certificates.work`.

    Args:
        step: see `rszoo.theory.steps`.
        n, alpha: as in a `Certificate`.
    """
    return Test(radius=step / STEPS, sigma=1.0, n=n, alpha=alpha / 2)


def _fault(row: Row) -> Fault | None:
    """Return what is wrong with a row, given its votes at the radius that it claims."""
    names = ("votes", "draws", "spent", "n")
    if fault := disordered(names, [row[name] for name in names]):
        return fault
    if fault := counts_fault(row, of="draws"):
        return fault
    names = ("votes", "runner_up_votes", "draws", "n")
    given = "for " + ", ".join(f"{name}={row[name]}" for name in names)
    if row["predict"] == ABSTAIN:
        return differing(row, {"p_lower": 0.0, "other_upper": 1.0, "radius": 0.0}, given=given)
    if not (0.0 < row["p_lower"] and row["other_upper"] < 1.0):
        return f"two bounds that are decided {given}", f"{row['p_lower']}, {row['other_upper']}"
    return _claim_fault(row, given)


def _claim_fault(row: Row, given: str) -> Fault | None:
    """Return what is wrong with the bounds of a row that certifies, or with its radius."""
    steps = _steps(row)
    one, other = map(proportion, steps)
    if fault := differing(row, {"p_lower": one, "other_upper": 1.0 - other}, given="on the grid"):
        return fault
    events = ((one, row["votes"]), (other, row["draws"] - row["runner_up_votes"]))
    test = {"n": row["n"], "alpha": row["alpha"] / 2, "draws": row["draws"]}
    decided = all(exceeded(p, votes=votes, **test) for p, votes in events)
    if not decided or steps_needed(row["radius"], row["sigma"]) > sum(steps):
        return f"predict={ABSTAIN} or less {given}", row["predict"]
    return differing(row, {"predict": row["candidate"]}, given=given)


def _steps(row: Row) -> tuple[int, int]:
    return step_of(row["p_lower"]), -step_of(row["other_upper"])


def _tests(row: Row) -> tuple[Test, ...]:
    if not (0.0 < row["p_lower"] and row["other_upper"] < 1.0):
        return ()
    return tuple(work(step, n=row["n"], alpha=row["alpha"]) for step in _steps(row))


def _voters(certificate: Certificate) -> tuple[Voter, ...]:
    # Where the votes stopped depends on themselves: they are no sample of their proportion.
    seen, candidate, n = certificate.details, certificate.candidate, certificate.n
    assert isinstance(seen, RunnerUp)
    others = certificate.draws - seen.runner_up_votes
    claims = (
        *stopped(lambda votes: [votes[candidate]], certificate.votes, certificate.draws, n=n),
        *stopped(without_each_other(seen, candidate), others, certificate.draws, n=n),
    )
    return (Voter(name=NETWORK, sigma=certificate.sigma, claims=claims),)


KIND = Kind(
    name="early_runner_up",
    marked="early",
    columns=(*COUNTED, *COUNTS, draws("draws"), draws("spent")),
    protocol=OneSigmaAtRadii,
    details=RunnerUp,
    fault=_fault,
    stated=radii_stated,
    voters=_voters,
    bound=RUNNER_UP,
    tests=_tests,
)

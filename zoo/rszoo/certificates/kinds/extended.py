"""Certificates of one network from n draws, or from n_max where all of the n agree.

An input whose n draws all agree is certified by the bound of all n_max draws, the first n among
them; any other by that of its n draws, both at the whole alpha. Nothing is spent on looking twice.
Let p be the probability of the candidate.

- p >= alpha^(1/n): the bound of n draws cannot be above p, as none is above that of n that all
  agree, which is alpha^(1/n). The bound of n_max draws is above p with probability alpha at most.
- p < alpha^(1/n): more is drawn only if all n agree, which is among the outcomes whose bound is
  above p; together these have probability alpha at most. Whatever the further draws give, nothing
  is wrong outside of them.

So it would not be without the rule: who goes on where the draws abstain, or takes the larger of
both bounds where one draw disagreed, looks twice at the whole alpha.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from rszoo.certificates.base import Certificate, Details, certificate_from_votes
from rszoo.certificates.claims import OneSigma, claimed_by_all_draws, sigma_stated
from rszoo.certificates.columns import COUNTED, draws
from rszoo.certificates.kind import (
    NETWORK,
    Claim,
    Fault,
    Kind,
    Row,
    Stated,
    Voter,
    disordered,
)
from rszoo.theory.bounds import same_proportion_p_value

__all__ = ["KIND", "Extended", "extended_certificate"]


@dataclass(frozen=True, kw_only=True)
class Extended(Details):
    """The details of a certificate that may rest on more than n draws.

    Attributes:
        n_max: draws where all of the n agree.
    """

    n_max: int


class _Extended(OneSigma):
    """The protocol of certificates that may rest on more than n draws."""

    extends: ClassVar[bool] = True


def extended_certificate(
    candidate: int,
    votes: int,
    *,
    draws: int,
    n0: int,
    n: int,
    n_max: int,
    alpha: float,
    sigma: float,
) -> Certificate:
    """Return what the votes of n draws, or of n_max where all of the n agreed, certify.

    Guarantee:
        With probability at least 1 - alpha over the draws: the certificate abstains, or the
        smoothed classifier answers `label` at every point closer than `radius`; see the module.
        It assumes that the draws are independent of each other and of the choice of `candidate`,
        and that no more than n were made unless all of these agreed.

    Args:
        candidate: the class that the votes are for.
        votes: on it, of the draws.
        draws: n or n_max.
        n0, n, n_max, alpha, sigma: as in a `Certificate` and its details.

    Raises:
        ValueError: counts, alpha or sigma out of range.
    """
    given = certificate_from_votes(candidate, votes, n0=n0, n=draws, alpha=alpha, sigma=sigma)
    return replace(given, n=n, details=Extended(n_max=n_max))


def _fault(row: Row) -> Fault | None:
    votes, n, made = row["votes"], row["n"], row["draws"]
    if fault := disordered(("votes", "draws", "n_max"), (votes, made, row["n_max"])):
        return fault
    if made not in (n, row["n_max"]) or row["spent"] != made or n >= row["n_max"]:
        return "draws and spent as n, or as a larger n_max", f"{made} and {row['spent']}"
    if (made == n) != (votes < n):
        return f"{row['n_max']} draws where all of n={n} agree, and only there", f"{votes}/{made}"
    return claimed_by_all_draws({**row, "n": made})


def _stated(row: Row, protocol: _Extended) -> Stated:
    return {**sigma_stated(row, protocol), "n_max": (protocol.n_max, row["n_max"])}


@dataclass(frozen=True, kw_only=True)
class _InStages(Claim):
    """The claim that the candidate was counted so often in n draws, and in those after them.

    Attributes:
        n: draws of the first stage.
    """

    n: int

    @property
    def sample(self) -> tuple[int, int]:
        """The first n draws, which were made in any case."""
        return min(self.votes, self.n), self.n

    def p_value(self, votes: int, draws: int) -> float:
        """See `Claim`: twice the smaller one of two tests, so that both may be made.

        The second is of the draws after the n, which are as if there had been none before.
        """
        first = same_proportion_p_value(*self.sample, votes, draws)
        if self.draws == self.n:
            return min(1.0, 2.0 * first)
        after = (self.votes - self.n, self.draws - self.n)
        return min(1.0, 2.0 * min(first, same_proportion_p_value(*after, votes, draws)))


def _voters(certificate: Certificate) -> tuple[Voter, ...]:
    claim = _InStages(
        events=lambda votes: [votes[certificate.candidate]],
        votes=certificate.votes,
        draws=certificate.draws,
        n=certificate.n,
    )
    return (Voter(name=NETWORK, sigma=certificate.sigma, claims=(claim,)),)


def _at_alpha(certificate: Certificate, alpha: float) -> Certificate:
    assert isinstance(certificate.details, Extended)
    counts = {name: getattr(certificate, name) for name in ("draws", "n0", "n", "sigma")}
    return extended_certificate(
        certificate.candidate,
        certificate.votes,
        n_max=certificate.details.n_max,
        alpha=alpha,
        **counts,
    )


KIND = Kind(
    name="extended",
    columns=(*COUNTED, draws("draws"), draws("spent"), draws("n_max")),
    protocol=_Extended,
    details=Extended,
    fault=_fault,
    stated=_stated,
    voters=_voters,
    at_alpha=_at_alpha,
)

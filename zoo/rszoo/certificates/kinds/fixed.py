"""Certificates of one network from a fixed number of draws: CERTIFY of Cohen et al. (2019)."""

from collections.abc import Sequence

from rszoo.certificates.base import Certificate, certificate_from_votes
from rszoo.certificates.claims import (
    OneSigma,
    at_alpha,
    claimed_by_all_draws,
    sigma_stated,
    the_network,
)
from rszoo.certificates.columns import COUNTED
from rszoo.certificates.kind import Kind

__all__ = ["KIND"]


def _of_counts(
    counts0: Sequence[int], counts: Sequence[int], *, n0: int, n: int, alpha: float, sigma: float
) -> Certificate:
    """Return the end of CERTIFY of Cohen et al. (2019).

    Guarantee:
        That of `certificate_from_votes`.
    """
    # c_A-hat <- top index in counts0
    candidate = counts0.index(max(counts0))
    # p_A <- LowerConfBound(counts[c_A-hat], n, 1 - alpha), and with it radius or ABSTAIN
    return certificate_from_votes(
        candidate, counts[candidate], n0=n0, n=n, alpha=alpha, sigma=sigma
    )


KIND = Kind(
    name="fixed",
    columns=COUNTED,
    protocol=OneSigma,
    details=None,
    fault=claimed_by_all_draws,
    stated=sigma_stated,
    voters=the_network,
    of_counts=_of_counts,
    at_alpha=at_alpha,
)

"""Certificates of one network from a fixed number of draws: CERTIFY of Cohen et al. (2019)."""

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

KIND = Kind(
    name="fixed",
    columns=COUNTED,
    protocol=OneSigma,
    details=None,
    fault=claimed_by_all_draws,
    stated=sigma_stated,
    voters=the_network,
    at_alpha=at_alpha,
)

"""Certificates of a mix of a standard network and a smoothed one, whose votes they rest on."""

from dataclasses import dataclass, replace

from rszoo.certificates.base import ABSTAIN, Certificate, Details
from rszoo.certificates.claims import (
    OneSigma,
    at_alpha,
    claimed_by_all_draws,
    of_votes,
    sigma_stated,
    the_network,
)
from rszoo.certificates.columns import COUNTED, real
from rszoo.certificates.kind import Fault, Kind, Row, Stated
from rszoo.theory.mixing import mixed_radius

__all__ = ["ALPHA_MIX", "KIND", "Mixing", "mixed_certificate"]

# In which the radii of two platforms may differ, as a share of sigma: a tenth of what each was
# rounded down by.
_DIGITS = 1e-13


@dataclass(frozen=True, kw_only=True)
class Mixing(Details):
    """The details that the certificate of a mix adds to that of its smoothed part.

    Attributes:
        alpha_mix: the least weight of the smoothed part, which the certificate's fields but
            `label` and `radius` are about.
    """

    alpha_mix: float


class _Mixed(OneSigma):
    """The protocol of certificates of a mix.

    Attributes:
        alpha_mix: the least weight of the smoothed part.
    """

    alpha_mix: float


def mixed_certificate(robust: Certificate, *, alpha_mix: float) -> Certificate:
    """Return what a certificate of the robust part of a mix says of the mix.

    Guarantee:
        Whenever the bound `p_lower` of `robust` holds: the result abstains, or the mix answers
        `label` at every point closer than `radius`; see `rszoo.theory.mixing.mixed_radius`.

    Args:
        robust: from all its draws.
        alpha_mix: what the weight of the robust part is at least, in (1/2, 1].

    Raises:
        ValueError: the weight is out of range.
    """
    radius = mixed_radius(robust.p_lower, robust.sigma, alpha_mix)
    return replace(
        robust,
        label=robust.candidate if radius > 0.0 else ABSTAIN,
        radius=radius,
        details=Mixing(alpha_mix=alpha_mix),
    )


def _certified(row: Row) -> Certificate:
    right = mixed_certificate(of_votes(row), alpha_mix=row["alpha_mix"])
    # A radius is the difference of two, whose last digits are larger ones of it.
    same = abs(row["radius"] - right.radius) <= _DIGITS * row["sigma"]
    return replace(right, radius=row["radius"]) if same else right


def _fault(row: Row) -> Fault | None:
    return claimed_by_all_draws(row, _certified)


def _at_alpha(certificate: Certificate, alpha: float) -> Certificate:
    assert isinstance(certificate.details, Mixing)
    return mixed_certificate(at_alpha(certificate, alpha), alpha_mix=certificate.details.alpha_mix)


def _stated(row: Row, protocol: _Mixed) -> Stated:
    return {**sigma_stated(row, protocol), "alpha_mix": (protocol.alpha_mix, row["alpha_mix"])}


#: The column of the least weight of the smoothed part.
ALPHA_MIX = real("alpha_mix", lambda value: 0.5 < value <= 1.0, "a number in (1/2, 1]")

KIND = Kind(
    name="mixed",
    columns=(*COUNTED, ALPHA_MIX),
    protocol=_Mixed,
    details=Mixing,
    fault=_fault,
    stated=_stated,
    voters=the_network,
    at_alpha=_at_alpha,
)

"""Numbers that a card states: nobody has checked them, but some of them cannot be true."""

import math
from collections.abc import Mapping

from rszoo.theory.radii import largest_radius

__all__ = ["NOT_CHECKED", "is_possible"]

#: How numbers of cards are called.
NOT_CHECKED = "stated by its author, not checked"

_FARTHEST = 8.21  # Phi^-1 of the largest float64 below 1, rounded up
_SLACK = 1e-9  # of cards that round otherwise


def is_possible(
    acr: float | None,
    accuracy: Mapping[float, float],
    *,
    sigma: float | None,
    n: float | None,
    alpha: float | None,
) -> bool:
    """Return whether all stated numbers of one model under L2 can be true.

    No certified radius is larger than that of n draws which all agree, so neither is their
    average, and nothing is certified beyond it; shares lie in [0, 1] and do not grow with the
    radius.

    Args:
        acr: average certified radius; None where not stated.
        accuracy: radius -> certified accuracy there.
        sigma, n, alpha: of the certificates, n the most draws; None where not stated, or where
            there are several.

    >>> is_possible(1.9, {}, sigma=0.5, n=100_000, alpha=0.001)
    True
    >>> is_possible(2.0, {}, sigma=0.5, n=100_000, alpha=0.001)
    False
    """
    numbers = [*(() if acr is None else (acr,)), *accuracy, *accuracy.values()]
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        return False
    shares = [share for _, share in sorted(accuracy.items())]
    if max(shares, default=0.0) > 1 or shares != sorted(shares, reverse=True):
        return False
    reached = [acr or 0.0, *(radius for radius, share in accuracy.items() if share > 0)]
    return max(reached) <= _largest(sigma, n, alpha) * (1 + _SLACK)


def _largest(sigma: float | None, n: float | None, alpha: float | None) -> float:
    """Return what no certified radius exceeds; less than 0 if no certificate is such."""
    if (sigma is not None and sigma <= 0) or (n is not None and n < 1):
        return -1.0
    if alpha is not None and not 0 < alpha < 1:
        return -1.0
    if sigma is None:
        return math.inf
    if n is None or alpha is None:
        return sigma * _FARTHEST
    try:
        return largest_radius(int(n), alpha, sigma)
    except ValueError:  # more draws, or less confidence, than float64 can tell from certainty
        return sigma * _FARTHEST

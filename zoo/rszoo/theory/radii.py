"""From a bound on a probability to an L2 radius (Cohen, Rosenfeld and Kolter, 2019, Theorem 1).

Let g(x) = argmax_c P(f(x + e) = c) with e ~ N(0, sigma^2 I). If P(f(x + e) = c) >= p > 1/2, then
g(x') = c for every x' with ||x' - x||_2 < sigma * Phi^-1(p).
"""

import math

from scipy.special import ndtr, ndtri

from rszoo.theory.bounds import clopper_pearson_lower

__all__ = [
    "certified_radius",
    "exceeding",
    "largest_radius",
    "linf_radius",
    "needed_probability",
    "radius_between",
]

# ndtri is right to a few units in the last place; see bounds.py.
_ROUNDING = 2.0**-40


def certified_radius(p_lower: float, sigma: float) -> float:
    """Return sigma * Phi^-1(p_lower), rounded down; 0 when p_lower <= 1/2.

    Guarantee:
        If `p_lower` does not exceed the true probability of the class under N(0, sigma^2 I)
        noise, no perturbation of L2 norm below the returned radius changes the smoothed
        classifier's answer. The theorem holds for any measurable base classifier; it is about
        exact real arithmetic in x + e.

        | p_lower | radius |
        |---------|--------|
        | <= 1/2  | 0      |
        | 1       | refused: no finite sample supports it |

    Args:
        p_lower: lower bound on the probability of the class, in [0, 1).
        sigma: standard deviation of the noise, in pixel units, positive and finite.

    Raises:
        ValueError: an argument is out of range.

    >>> round(certified_radius(0.8413447, 0.5), 6)
    0.5
    """
    if not 0.0 <= p_lower < 1.0:
        raise ValueError(f"expected 0 <= p_lower < 1, got {p_lower=}")
    if not (sigma > 0.0 and math.isfinite(sigma)):
        raise ValueError(f"expected a positive finite sigma, got {sigma=}")
    if p_lower <= 0.5:
        return 0.0
    return sigma * float(ndtri(p_lower)) * (1.0 - _ROUNDING)


def radius_between(p_lower: float, other_upper: float, sigma: float) -> float:
    """Return sigma / 2 (Phi^-1(p_lower) - Phi^-1(other_upper)), rounded down; 0 if that is less.

    Guarantee:
        If `p_lower` does not exceed the true probability of the class under N(0, sigma^2 I)
        noise, and `other_upper` is not below that of any other class, no perturbation of L2 norm
        below the returned radius changes the smoothed classifier's answer (Cohen et al., 2019,
        Theorem 1, as it stands there). With other_upper = 1 - p_lower, which is all that
        `certified_radius` knows, it is the same radius.

    Args:
        p_lower: lower bound on the probability of the class, in [0, 1).
        other_upper: upper bound on the probability of each other class, in (0, 1].
        sigma: standard deviation of the noise, in pixel units, positive and finite.

    Raises:
        ValueError: an argument is out of range.

    >>> round(radius_between(0.8413447, 1 - 0.8413447, 0.5), 6)
    0.5
    """
    if not (0.0 <= p_lower < 1.0 and 0.0 < other_upper <= 1.0):
        raise ValueError(
            f"expected 0 <= p_lower < 1 and 0 < other_upper <= 1, got {p_lower=}, {other_upper=}"
        )
    if not (sigma > 0.0 and math.isfinite(sigma)):
        raise ValueError(f"expected a positive finite sigma, got {sigma=}")
    if p_lower <= other_upper:
        return 0.0
    one, other = float(ndtri(p_lower)), float(ndtri(other_upper))
    # A difference of two: what it is rounded down by is a share of them, not of it.
    return max(0.0, sigma / 2 * (one - other - _ROUNDING * (1.0 + abs(one) + abs(other))))


def linf_radius(radius: float, numbers: int) -> float:
    """Return the Linf radius that follows from an L2 radius, rounded down.

    Guarantee:
        Every perturbation none of whose numbers exceeds the returned value has an L2 norm of at
        most `radius`: sqrt(numbers) times as much. (That of L1 is `radius` itself, as no L2 norm
        exceeds the L1 norm.)

    Args:
        radius: L2, pixel units, at least 0.
        numbers: of one input, channels x height x width.

    Raises:
        ValueError: an argument is out of range.

    >>> linf_radius(0.5, 4) < 0.25, round(linf_radius(0.5, 4), 9)
    (True, 0.25)
    """
    if not (0.0 <= radius < math.inf and numbers >= 1):
        raise ValueError(
            f"expected a finite radius >= 0 and numbers >= 1, got {radius=}, {numbers=}"
        )
    return radius / math.sqrt(numbers) * (1.0 - _ROUNDING)


def needed_probability(radius: float, sigma: float) -> float:
    """Return Phi(radius / sigma), rounded up: what a class needs to be certified at a radius.

    Guarantee:
        If the class's probability under N(0, sigma^2 I) noise exceeds the returned value, no
        perturbation of L2 norm up to `radius` changes the smoothed classifier's answer.

    Args:
        radius: pixel units, finite, at least 0.
        sigma: standard deviation of the noise, in pixel units, positive and finite.

    Raises:
        ValueError: an argument is out of range.

    >>> needed_probability(0.0, 0.5) > 0.5
    True
    """
    if not (0.0 <= radius < math.inf and 0.0 < sigma < math.inf):
        raise ValueError(f"expected finite radius >= 0 and sigma > 0, got {radius=}, {sigma=}")
    return exceeding(radius / sigma)


def exceeding(z: float) -> float:
    """Return Phi(z), rounded up: by more than the arithmetic of z and Phi is wrong by.

    >>> exceeding(0.0) > 0.5, exceeding(-3.0) < 0.00135
    (True, True)
    """
    # In terms of the tail, so that the rounding stays small where the probability is near 1; there
    # the difference itself is rounded, by half a unit of its last place at most.
    return math.nextafter(1.0 - float(ndtr(-z)) * (1.0 - _ROUNDING), 1.0)


def largest_radius(n: int, alpha: float, sigma: float) -> float:
    """Return the radius certified when all n draws agree: no certificate can be larger.

    >>> round(largest_radius(100_000, 0.001, 0.5), 4)
    1.9057
    """
    return certified_radius(clopper_pearson_lower(n, n, alpha), sigma)

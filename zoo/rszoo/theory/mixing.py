"""Radii of a mix of two classifiers, one of which is smoothed.

Bai, Anderson, Kim and Sojoudi (2024), Improving the Accuracy-Robustness Trade-Off of Classifiers
via Adaptive Smoothing, https://arxiv.org/abs/2301.12554. The mix answers

    argmax_c  m_c(x),   m_c(x) = (1 - alpha_mix) g_c(x) + alpha_mix h_c(x)

where g gives any probabilities (an accurate standard network) and h_c(x) = P(f(x + e) = c),
e ~ N(0, sigma^2 I), are the exact vote probabilities of the smoothed classifier.

Lemma. For alpha_mix > 1/2 the mix answers y at x', whatever g says there, if

    h_y(x') > 1 / (2 alpha_mix).

Proof. For i != y, h_i <= 1 - h_y and g_i - g_y <= 1, so that m_y - m_i
>= alpha_mix (h_y - h_i) - (1 - alpha_mix) >= alpha_mix (2 h_y - 1) - 1 + alpha_mix
= 2 alpha_mix h_y - 1 > 0. The condition is weaker for a larger alpha_mix: where the weight depends
on the input, the lemma holds with its smallest value.
"""

import math
from collections.abc import Sequence

from scipy.special import ndtri

from rszoo.theory.bounds import clopper_pearson_interval
from rszoo.theory.radii import certified_radius

__all__ = ["lost_radius", "mixed_p_value", "mixed_radius", "published_mixed_radius"]

# As in bounds.py and radii.py: more than the arithmetic can be wrong by.
_ROUNDING = 2.0**-40

# No p-value is looked for below it.
_SMALLEST = 1e-12


def mixed_radius(p_lower: float, sigma: float, alpha_mix: float) -> float:
    """Return sigma (Phi^-1(p_lower) - Phi^-1(1 / (2 alpha_mix))), rounded down; 0 if negative.

    Guarantee:
        If `p_lower` does not exceed h_y(x), the mix answers y at every point closer to x than the
        returned radius, whatever its standard part says there, and whatever its weight is as long
        as it is nowhere below `alpha_mix`. At alpha_mix = 1 it is the radius of the smoothed
        classifier; there is none at alpha_mix <= 1/2.

        Proof: Phi^-1(h_y) is 1/sigma-Lipschitz (Salman et al., 2019,
        https://arxiv.org/abs/1906.04584, Lemma 2), so that closer than the radius
        h_y(x') > Phi(Phi^-1(p_lower) - R / sigma) = 1 / (2 alpha_mix), and the lemma applies.

        No larger radius holds for all pairs: with two classes, h of a half-space and g that
        opposes it everywhere, the mix changes its answer at this distance.

    Args:
        p_lower: lower bound on the probability of y under noise, in [0, 1).
        sigma: standard deviation of the noise, in pixel units, positive and finite.
        alpha_mix: weight of the smoothed part, in (1/2, 1].

    Raises:
        ValueError: an argument is out of range.

    >>> round(mixed_radius(0.99, 1.0, 0.76), 3)
    1.92
    """
    return max(0.0, certified_radius(p_lower, sigma) - lost_radius(sigma, alpha_mix))


def lost_radius(sigma: float, alpha_mix: float) -> float:
    """Return sigma Phi^-1(1 / (2 alpha_mix)), rounded up: what a mix loses of each radius.

    Guarantee:
        Where the smoothed part keeps a class up to r and this much, the mix answers the class at
        every point closer than r, as `mixed_radius` has it.

    Raises:
        ValueError: the weight is out of range.
    """
    _check_weight(alpha_mix)
    # 1 - 1 / (2 alpha_mix), from a difference that is exact in floating point.
    tail = (2.0 * alpha_mix - 1.0) / (2.0 * alpha_mix)
    return -sigma * float(ndtri(tail * (1.0 - _ROUNDING))) * (1.0 + _ROUNDING)


def published_mixed_radius(
    p_lower: float, sigma: float, alpha_mix: float, *, p_upper: float | None = None
) -> float:
    """Return the radius of the paper and its code, rounded down; 0 if negative.

        (sigma / 2) (Phi^-1(alpha_mix p_lower) - Phi^-1(alpha_mix p_upper + 1 - alpha_mix))

    For comparison: with `p_upper` = 1 - `p_lower` it is never above `mixed_radius`, and cannot
    exceed sigma Phi^-1(alpha_mix).

    Guarantee:
        That of `mixed_radius`, for bounds on both probabilities.

        Proof: alpha_mix h_y, and alpha_mix h_i + 1 - alpha_mix, are smoothed functions with values
        in [0, 1], so that Phi^-1 of each is 1/sigma-Lipschitz. Closer than the radius the first
        is the larger one for every i != y, which gives m_y > m_i as g_i - g_y <= 1.

        It is not above `mixed_radius`: both are 0 at p = 1 / (2 alpha_mix). Beyond, their
        derivatives in p are sigma / phi(Phi^-1(p)) and alpha_mix sigma / phi(Phi^-1(alpha_mix p)),
        and phi(Phi^-1(.)) falls on [1/2, 1], so that the first is the larger.

    Args:
        p_lower, sigma, alpha_mix: as in `mixed_radius`.
        p_upper: upper bound on the probability of every other class; None: 1 - p_lower.

    Raises:
        ValueError: an argument is out of range.

    >>> round(published_mixed_radius(0.99, 1.0, 0.76), 3)
    0.682
    """
    _check_weight(alpha_mix)
    p_upper = 1.0 - p_lower if p_upper is None else p_upper
    if not (0.0 <= p_lower < 1.0 and 0.0 <= p_upper <= 1.0):
        raise ValueError(f"expected p_lower and p_upper in [0, 1), got {p_lower=}, {p_upper=}")
    if not (sigma > 0.0 and math.isfinite(sigma)):
        raise ValueError(f"expected a positive finite sigma, got {sigma=}")
    top = alpha_mix * p_lower * (1.0 - _ROUNDING)
    rest = alpha_mix * (1.0 - p_upper) * (1.0 - _ROUNDING)  # 1 - (alpha_mix p_upper + 1 - ...)
    if min(top, rest) <= 0.0:
        return 0.0
    return max(0.0, sigma / 2.0 * float(ndtri(top) + ndtri(rest)) * (1.0 - _ROUNDING))


def mixed_p_value(
    label: int, *, standard: Sequence[float], votes: Sequence[int], alpha_mix: float
) -> float:
    """Return the smallest level at which votes make it certain that a mix answers `label`.

    Guarantee:
        For every alpha in (0, 1), the probability that the returned value is at most alpha
        although the mix with the exact vote probabilities answers another class, is at most
        alpha. `label` may have been chosen by the same votes.

        Proof: at level alpha each of the K classes has a Clopper-Pearson interval at alpha / K,
        so that all hold at once with probability 1 - alpha. Where they do, the answer is `label`
        if its mix at the lower end exceeds every other class's at the upper end, which is also
        at most 1 minus the lower end of `label`. The intervals grow as alpha falls.

    Args:
        label: the class.
        standard: probabilities of the standard part at the input, one per class.
        votes: draws on each class; they add up to the number of draws.
        alpha_mix: weight of the smoothed part at the input, in [0, 1].

    Returns:
        A value in [1e-12, 1/2], rounded up, or 1 if it would be above 1/2.

    >>> mixed_p_value(0, standard=[0.1, 0.9], votes=[100, 0], alpha_mix=0.76) < 1e-4
    True
    """

    def certain(level: float) -> bool:
        share = level / len(votes)
        ends = {k: clopper_pearson_interval(k, sum(votes), share) for k in set(votes)}
        lower = ends[votes[label]][0]
        own = (1.0 - alpha_mix) * standard[label] + alpha_mix * lower
        return all(
            own * (1.0 - _ROUNDING)
            > (1.0 - alpha_mix) * standard[i] + alpha_mix * min(ends[k][1], 1.0 - lower)
            for i, k in enumerate(votes)
            if i != label
        )

    low, high = math.log(_SMALLEST), math.log(0.5)
    if not certain(math.exp(high)):
        return 1.0
    if certain(_SMALLEST):
        return _SMALLEST
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (low, middle) if certain(math.exp(middle)) else (middle, high)
    return math.exp(high)


def _check_weight(alpha_mix: float) -> None:
    if not 0.5 < alpha_mix <= 1.0:
        raise ValueError(
            f"expected 1/2 < alpha_mix <= 1, got {alpha_mix=}: the standard part would decide"
        )

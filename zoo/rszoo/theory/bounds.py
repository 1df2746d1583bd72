"""Exact confidence bounds for a binomial proportion (Clopper and Pearson, 1934).

X ~ Bin(n, p) is observed as k. The one-sided lower bound at level alpha is the p for which
P(X >= k) = alpha, which is the alpha-quantile of Beta(k, n - k + 1).
"""

from scipy.special import bdtr, betainc, betainccinv, betaincinv

__all__ = [
    "binomial_lower_tail",
    "clopper_pearson_interval",
    "clopper_pearson_lower",
    "clopper_pearson_upper",
    "majority_p_value",
    "rarer_p_value",
    "same_proportion_p_value",
]

# betaincinv is right to about 1e-14 relative; the bound is moved down by more than that, so that
# the arithmetic can only cost radius, never add to it.
_ROUNDING = 2.0**-40


def _check(successes: int, trials: int, alpha: float) -> None:
    if trials < 1:
        raise ValueError(f"expected trials >= 1, got {trials=}")
    if not 0 <= successes <= trials:
        raise ValueError(f"expected 0 <= successes <= trials, got {successes=}, {trials=}")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"expected 0 < alpha < 1, got {alpha=}")


def clopper_pearson_lower(successes: int, trials: int, alpha: float) -> float:
    """Return the one-sided lower confidence bound on a binomial proportion.

    Guarantee:
        For every p, P(bound <= p) >= 1 - alpha when `successes` ~ Bin(trials, p): the bound
        exceeds the truth with probability at most alpha, without any approximation. The trials
        must be independent, and nothing about them (their number, which event counts as a
        success) may have been chosen by looking at them.

        | successes | bound             |
        |-----------|-------------------|
        | 0         | 0                 |
        | trials    | alpha^(1/trials)  |

    Args:
        successes: number of successes, in [0, trials].
        trials: number of independent trials, at least 1.
        alpha: failure probability, in (0, 1).

    Returns:
        The bound, in [0, 1), rounded down.

    Raises:
        ValueError: an argument is out of range.

    >>> round(clopper_pearson_lower(100_000, 100_000, 0.001), 9)
    0.999930925
    """
    _check(successes, trials, alpha)
    if successes == 0:
        return 0.0
    return float(betaincinv(successes, trials - successes + 1, alpha)) * (1.0 - _ROUNDING)


def clopper_pearson_upper(successes: int, trials: int, alpha: float) -> float:
    """Return the one-sided upper confidence bound on a binomial proportion.

    Guarantee:
        For every p, P(bound >= p) >= 1 - alpha when `successes` ~ Bin(trials, p), as for
        `clopper_pearson_lower` of the failures. The bound grows with `successes`.

        | successes | bound                 |
        |-----------|-----------------------|
        | 0         | 1 - alpha^(1/trials)  |
        | trials    | 1                     |

    Args:
        successes: number of successes, in [0, trials].
        trials: number of independent trials, at least 1.
        alpha: failure probability, in (0, 1).

    Returns:
        The bound, in (0, 1], rounded up.

    Raises:
        ValueError: an argument is out of range.

    >>> clopper_pearson_upper(0, 100_000, 0.0005) < 1e-4
    True
    """
    _check(successes, trials, alpha)
    if successes == trials:
        return 1.0
    # The complement's quantile: 1 minus the lower bound of the failures would lose its digits.
    upper = float(betainccinv(successes + 1, trials - successes, alpha))
    return min(1.0, upper * (1.0 + _ROUNDING))


def clopper_pearson_interval(successes: int, trials: int, alpha: float) -> tuple[float, float]:
    """Return the two-sided exact interval at confidence 1 - alpha (alpha / 2 on either side).

    Guarantee:
        For every p, the interval holds p with probability at least 1 - alpha.

    Args:
        successes: number of successes, in [0, trials].
        trials: number of independent trials, at least 1.
        alpha: failure probability of the interval, in (0, 1).

    Raises:
        ValueError: an argument is out of range.

    >>> clopper_pearson_interval(0, 10, 0.05)[0]
    0.0
    """
    _check(successes, trials, alpha)
    lower = clopper_pearson_lower(successes, trials, alpha / 2)
    return lower, 1.0 - clopper_pearson_lower(trials - successes, trials, alpha / 2)


def majority_p_value(top: int, runner_up: int) -> float:
    """Return the p-value of the two-sided test that two classes are equally likely.

    Under the hypothesis, `top` of the `top + runner_up` draws that fell on either class is
    Bin(top + runner_up, 1/2) (Hung and Fithian, 2019; used by PREDICT of Cohen et al., 2019).

    >>> majority_p_value(5, 0)
    0.0625
    """
    if top < runner_up:
        raise ValueError(f"expected top >= runner_up, got {top=}, {runner_up=}")
    if top == runner_up:
        return 1.0
    return min(1.0, 2.0 * float(betainc(top, runner_up + 1, 0.5)))


def same_proportion_p_value(
    successes: int, trials: int, other_successes: int, other_trials: int
) -> float:
    """Return the p-value of the test that two samples have the same proportion.

    Fisher's exact test, two-sided by doubling: given all successes, those of the first sample are
    hypergeometric if the proportions agree.

    Guarantee:
        If they agree, the p-value is at most a with probability at most a, for every a in (0, 1).

    Raises:
        ValueError: counts out of range.

    >>> same_proportion_p_value(10, 10, 0, 10) < 1e-4
    True
    """
    rarer = rarer_p_value(successes, trials, other_successes, other_trials)
    more = rarer_p_value(trials - successes, trials, other_trials - other_successes, other_trials)
    return min(1.0, 2.0 * min(rarer, more))


def rarer_p_value(successes: int, trials: int, other_successes: int, other_trials: int) -> float:
    """Return the p-value of the test that an event is no rarer in a second sample.

    Fisher's exact test, one-sided: given all successes, those of the first sample are
    hypergeometric if the proportions agree, and at least `successes` with this probability.

    Guarantee:
        If they agree, and the first sample holds `successes` or more, the p-value is at most a
        with probability at most a, for every a in (0, 1).

    Raises:
        ValueError: counts out of range.

    >>> rarer_p_value(1, 1, 0, 1), rarer_p_value(0, 1, 1, 1)
    (0.5, 1.0)
    """
    from scipy.stats import hypergeom  # slow to import, and rarely wanted

    for count, number in ((successes, trials), (other_successes, other_trials)):
        if not 0 <= count <= number:
            raise ValueError(f"expected 0 <= successes <= trials, got {count} of {number}")
    total, together = trials + other_trials, successes + other_successes
    return float(hypergeom.sf(successes - 1, total, together, trials))


def binomial_lower_tail(successes: int, trials: int, p: float) -> float:
    """Return P(X <= successes) for X ~ Bin(trials, p): small if the proportion is below p.

    >>> binomial_lower_tail(0, 10, 0.5)
    0.0009765625
    """
    _check(successes, trials, 0.5)
    return float(bdtr(successes, trials, p))

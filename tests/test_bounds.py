"""Clopper-Pearson against SciPy, exact tails and 10^6-draw coverage; the majority test."""

import math
import re
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from scipy.stats import binomtest

from rszoo.theory.bounds import (
    clopper_pearson_interval,
    clopper_pearson_lower,
    majority_p_value,
)

ALPHAS = (0.3, 0.05, 0.001, 0.0005, 1e-9)


def counts(trials: int) -> list[int]:
    shares = (0.01, 0.1, 0.5, 0.55, 0.9, 0.99)
    inner = {round(share * trials) for share in shares}
    return sorted({0, 1, trials - 1, trials} | inner)


@pytest.mark.parametrize("trials", [1, 2, 7, 100, 1000, 100_000])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_bounds_equal_scipys_exact_intervals(trials: int, alpha: float) -> None:
    for successes in counts(trials):
        one_sided = binomtest(successes, trials, alternative="greater")
        two_sided = binomtest(successes, trials)
        lower = one_sided.proportion_ci(1 - alpha, method="exact").low
        interval = two_sided.proportion_ci(1 - alpha, method="exact")
        # 1 - alpha is all that SciPy is given: it loses digits of a small alpha.
        close = pytest.approx(lower, rel=1e-6, abs=1e-12)
        assert clopper_pearson_lower(successes, trials, alpha) == close
        both = pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-12)
        assert clopper_pearson_interval(successes, trials, alpha) == both


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("trials", [1, 10, 1000, 100_000])
def test_edges(trials: int, alpha: float) -> None:
    all_agree = alpha ** (1 / trials)
    assert clopper_pearson_lower(0, trials, alpha) == 0.0
    assert clopper_pearson_lower(trials, trials, alpha) == pytest.approx(all_agree, rel=1e-11)
    assert clopper_pearson_interval(0, trials, alpha)[0] == 0.0
    assert clopper_pearson_interval(trials, trials, alpha)[1] == 1.0


def tail(successes: int, trials: int, p: float) -> mpmath.mpf:
    """P(X >= successes) for X ~ Bin(trials, p), to 30 digits, term by term."""
    with mpmath.workdps(40):
        q = mpmath.mpf(p)
        odds = q / (1 - q)
        log_ways = (
            mpmath.loggamma(trials + 1)
            - mpmath.loggamma(successes + 1)
            - mpmath.loggamma(trials - successes + 1)
        )
        ends = successes * mpmath.log(q) + (trials - successes) * mpmath.log1p(-q)
        total = term = mpmath.exp(log_ways + ends)
        for j in range(successes, trials):
            term *= odds * (trials - j) / (j + 1)
            total += term
            if j > trials * p and term < total * mpmath.mpf(10) ** -30:
                break
        return total


@pytest.mark.parametrize("trials", [1, 2, 10, 100, 1000, 100_000])
def test_never_above_the_exact_bound_and_not_far_below(trials: int) -> None:
    # The tail grows with p, so p is at most the exact bound just when its tail is at most alpha.
    for alpha in ALPHAS:
        for successes in counts(trials)[1:]:
            bound = clopper_pearson_lower(successes, trials, alpha)
            assert tail(successes, trials, bound) <= mpmath.mpf(alpha)
            assert tail(successes, trials, bound * (1 + 2.0**-38)) > mpmath.mpf(alpha)


DRAWS = 1_000_000


def failure_excess(bound: Callable[[int, int, float], float]) -> float:
    """Return the worst failure share over a grid, as standard errors above alpha."""
    rng = np.random.default_rng(20190708)
    worst = -math.inf
    for trials in (10, 100, 1000):
        successes = {p: rng.binomial(trials, p, DRAWS) for p in (0.2, 0.501, 0.9, 0.99)}
        for alpha in (0.001, 0.05):
            table = np.array([bound(k, trials, alpha) for k in range(trials + 1)])
            standard_error = math.sqrt(alpha * (1 - alpha) / DRAWS)
            for p, drawn in successes.items():
                share = float(np.mean(table[drawn] > p))
                worst = max(worst, (share - alpha) / standard_error)
    return worst


def test_coverage() -> None:
    assert failure_excess(clopper_pearson_lower) <= 4


@pytest.mark.parametrize(
    "wrong",
    [
        lambda k, n, alpha: clopper_pearson_lower(k, n, min(3 * alpha, 0.999)),
        lambda k, n, alpha: clopper_pearson_lower(min(k + 1, n), n, alpha),
        lambda k, n, alpha: k / n,
    ],
    ids=["three alpha", "one success more", "no bound at all"],
)
def test_coverage_is_missed_by_a_wrong_bound(wrong: Callable[[int, int, float], float]) -> None:
    assert failure_excess(wrong) > 40


def test_bound_grows_with_successes_and_alpha_and_falls_with_trials() -> None:
    bounds = [clopper_pearson_lower(k, 50, 0.01) for k in range(51)]
    assert all(low < high for low, high in pairwise(bounds))
    assert clopper_pearson_lower(40, 50, 0.001) < clopper_pearson_lower(40, 50, 0.01)
    assert clopper_pearson_lower(40, 51, 0.01) < clopper_pearson_lower(40, 50, 0.01)


@pytest.mark.parametrize("function", [clopper_pearson_lower, clopper_pearson_interval])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0, 0.05), "expected trials >= 1, got trials=0"),
        ((0, -3, 0.05), "expected trials >= 1, got trials=-3"),
        ((-1, 5, 0.05), "expected 0 <= successes <= trials, got successes=-1, trials=5"),
        ((6, 5, 0.05), "expected 0 <= successes <= trials, got successes=6, trials=5"),
        ((3, 5, 0.0), "expected 0 < alpha < 1, got alpha=0.0"),
        ((3, 5, 1.0), "expected 0 < alpha < 1, got alpha=1.0"),
        ((3, 5, -0.1), "expected 0 < alpha < 1, got alpha=-0.1"),
        ((3, 5, math.nan), "expected 0 < alpha < 1, got alpha=nan"),
    ],
)
def test_bad_arguments(
    function: Callable[..., object], arguments: tuple[int, int, float], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        function(*arguments)


@pytest.mark.parametrize(
    ("top", "runner_up"), [(1, 0), (5, 0), (5, 4), (60, 40), (501, 499), (700, 300)]
)
def test_majority_p_value_is_the_exact_binomial_tail(top: int, runner_up: int) -> None:
    total = top + runner_up
    ways = sum(math.comb(total, k) for k in range(top, total + 1))
    exact = min(Fraction(1), Fraction(2 * ways, 2**total))
    assert majority_p_value(top, runner_up) == pytest.approx(float(exact), rel=1e-12)
    two_sided = binomtest(top, total, 0.5).pvalue
    assert majority_p_value(top, runner_up) == pytest.approx(two_sided, rel=1e-9)


@pytest.mark.parametrize("votes", [0, 1, 500])
def test_a_tie_has_p_value_one(votes: int) -> None:
    assert majority_p_value(votes, votes) == 1.0


def test_majority_p_value_refuses_a_runner_up_in_front() -> None:
    with pytest.raises(ValueError, match=r"^expected top >= runner_up, got top=3, runner_up=4$"):
        majority_p_value(3, 4)

"""The comparison of pairs: by hand, and how often its interval holds the mean, by simulation."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from scipy.stats import t as student

from rszoo.theory.paired import FEWEST, Comparison, compared

PAIRS = 360
CASES = 300
CONFIDENCE = 0.95
#: The least share that is wanted, 0.94, less three standard errors of so many simulated cases.
LEAST = 0.94 - 3 * math.sqrt(0.94 * 0.06 / CASES)

Values = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Values]

#: By how much pairs that differ do so, and the mean of that.
SIZES: dict[str, tuple[Draw, float]] = {
    "constant": (lambda rng, shape: np.ones(shape), 1.0),
    "uniform": (lambda rng, shape: rng.uniform(0, 1, shape), 0.5),
    "exponential": (lambda rng, shape: rng.exponential(1, shape), 1.0),
    "log-normal": (lambda rng, shape: rng.lognormal(0, 1, shape), math.exp(0.5)),
    "both signs": (
        lambda rng, shape: rng.exponential(1, shape) * rng.choice((1, -0.5), shape, p=(0.8, 0.2)),
        0.7,
    ),
}
DIFFERING = (8, 12, 20, 40, 120)


def cases(size: str, differing: int, seed: int) -> tuple[Values, float]:
    """Return cases of pairs, of which so many differ on average, and the mean behind them."""
    rng = np.random.default_rng(seed)
    draw, mean = SIZES[size]
    share = differing / PAIRS
    shape = (CASES, PAIRS)
    return np.where(rng.random(shape) < share, draw(rng, shape), 0.0), share * mean


def holds(found: Comparison, mean: float) -> bool | None:
    """Return whether the interval holds the mean; None where there is no interval."""
    if found.low is None or found.high is None:
        return None
    return found.low <= mean <= found.high


def coverage(size: str, differing: int) -> tuple[float, int]:
    """Return in which share of the cases with an interval it holds the mean, and of how many."""
    drawn, mean = cases(size, differing, seed=differing)
    found = [holds(compared(one, confidence=CONFIDENCE), mean) for one in drawn]
    given = [one for one in found if one is not None]
    return float(np.mean(given)), len(given)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("differing", DIFFERING)
def test_the_interval_holds_the_mean(size: str, differing: int) -> None:
    share, given = coverage(size, differing)
    print(f"{size}, {differing} differ: {share:.3f} of {given}")
    assert given > CASES / 10
    assert share >= LEAST


@pytest.mark.parametrize("size", ["exponential", "log-normal"])
def test_the_normal_approximation_does_not(size: str) -> None:
    drawn, mean = cases(size, 8, seed=8)
    error = drawn.std(axis=1, ddof=1) / math.sqrt(PAIRS)
    held = np.abs(drawn.mean(axis=1) - mean) <= 1.959964 * error
    assert held.mean() < 0.9


def test_without_skewness_it_is_students() -> None:
    each = np.array([*np.linspace(-1, 1, 20), *np.zeros(40)])
    found = compared(each, confidence=CONFIDENCE)
    quantile = student.ppf(0.975, 19)  # twenty differ
    reach = quantile * each.std(ddof=1) / math.sqrt(60)
    assert (found.low, found.high) == pytest.approx((-reach, reach))


def test_it_reaches_further_to_the_side_of_the_long_tail() -> None:
    each = np.array([0.1] * 30 + [1.0] * 3 + [0.0] * 100)
    found, mirrored = (compared(one, confidence=CONFIDENCE) for one in (each, -each))
    assert found.low is not None
    assert found.high is not None
    assert mirrored.low is not None
    assert found.high - found.mean > 1.2 * (found.mean - found.low)
    assert found.high == pytest.approx(-mirrored.low)


def test_hall_by_hand() -> None:
    # 12 of 24 differ, by 1: mean 1/2, standard deviation sqrt(6 / 23), no skewness at all.
    found = compared(np.array([0.0, 1.0] * 12), confidence=CONFIDENCE)
    reach = student.ppf(0.975, 11) * math.sqrt(6 / 23 / 24)
    assert (found.low, found.high) == pytest.approx((0.5 - reach, 0.5 + reach))


def test_with_few_that_differ_there_is_a_sign_test_and_no_interval() -> None:
    each = np.zeros(PAIRS)
    each[: FEWEST - 1] = 0.2
    each[0] = -0.3
    found = compared(each, confidence=CONFIDENCE)
    assert (found.low, found.high) == (None, None)
    assert (found.up, found.down) == (FEWEST - 2, 1)
    assert found.mean == pytest.approx(((FEWEST - 2) * 0.2 - 0.3) / PAIRS)
    assert found.p_value == pytest.approx(binomtest(1, FEWEST - 1).pvalue)
    each[FEWEST] = 0.1
    assert compared(each, confidence=CONFIDENCE).low is not None


def test_where_none_differs_there_is_nothing_to_test() -> None:
    found = compared(np.zeros(5), confidence=CONFIDENCE)
    assert (found.mean, found.low, found.up, found.down, found.p_value) == (0.0, None, 0, 0, 1.0)


def test_the_same_difference_everywhere_says_nothing_of_the_spread() -> None:
    found = compared(np.full(20, 0.25), confidence=CONFIDENCE)
    assert (found.mean, found.low, found.high) == (0.25, None, None)

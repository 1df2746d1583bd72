"""Tests of all rows of a log together, on counts alone: valid for true logs, sharp for forged."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, hypergeom

from rszoo.smoothing.decisions import RadiusTests
from rszoo.theory.agreement import (
    Counts,
    agreeing,
    flips_p_value,
    power,
    stopped_p_value,
    together,
)
from rszoo.theory.bounds import binomial_lower_tail
from rszoo.theory.radii import needed_probability
from rszoo.theory.sequential import looks

#: As in a log: most inputs are sure, some are not, a few are near a half.
MIXED = np.concatenate(
    [np.linspace(0.9995, 1.0, 60), np.linspace(0.9, 0.999, 40), np.linspace(0.45, 0.9, 20)]
)


def counts(votes: NDArray[np.int64], n: int, new_votes: NDArray[np.int64], m: int) -> Counts:
    rows = len(votes)
    return Counts(
        votes=votes, draws=np.full(rows, n), new_votes=new_votes, new_draws=np.full(rows, m)
    )


def true(rng: np.random.Generator, p: NDArray[np.float64], n: int, m: int) -> Counts:
    return counts(rng.binomial(n, p), n, rng.binomial(m, p), m)


def test_two_rows_by_hand() -> None:
    # 3 of 4 and 0 of 2: the log has the 3 with probability 4 / 20. 2 of 4 and 1 of 3: 1 of 2 with
    # 12 / 20, the other two with 3 / 20 ... all by counting.
    both = counts(np.array([3, 2]), 3, np.array([0, 0]), 3)
    exact = {
        (a, b): hypergeom.pmf(a, 6, 3, 3) * hypergeom.pmf(b, 6, 2, 3)
        for a, b in product(range(4), range(3))
    }
    assert sum(exact.values()) == pytest.approx(1.0)
    high = sum(share for (a, b), share in exact.items() if a + b >= 5)
    variances = (3 * 0.5 * 0.5 * 3 / 5, 3 * (1 / 3) * (2 / 3) * 3 / 5)

    def distance(a: int, b: int) -> float:
        return (a - 1.5) ** 2 / variances[0] + (b - 1.0) ** 2 / variances[1]

    far = sum(s for (a, b), s in exact.items() if distance(a, b) >= distance(3, 2) - 1e-9)
    found = together(both, level=1e-4, seed=0)
    assert found.simulations == 50_000 - 1
    assert found.pooled_p == pytest.approx(high, abs=4 * (high / 50_000) ** 0.5)
    assert found.dispersion_p == pytest.approx(far, abs=4 * (far / 50_000) ** 0.5)
    assert found.excess == pytest.approx((1.5 + 1.0) / 6)
    assert found.rows == 2


def test_rows_that_can_tell_nothing() -> None:
    sure = counts(np.array([100, 100]), 100, np.array([50, 50]), 50)
    found = together(sure, level=0.01, seed=0)
    assert (found.pooled_p, found.dispersion_p) == (1.0, 1.0)
    assert found.critical == np.inf
    assert power(sure, excess=0.5, critical=found.critical, seed=0) == 0.0
    huge = counts(np.array([10**9]), 10**9 + 10**7, np.array([9_000]), 10_000)
    assert together(huge, level=0.01, seed=0).pooled_p == 1.0  # not to be simulated


def test_p_values_of_true_logs_are_as_rarely_small_as_they_say() -> None:
    rng, runs = np.random.default_rng(0), 600
    p = MIXED[::10]
    pooled, scattered = [], []
    for seed in range(runs):
        found = together(true(rng, p, 2000, 500), level=0.0125, seed=seed)
        pooled.append(found.pooled_p)
        scattered.append(found.dispersion_p)
    for level, values in product((0.01, 0.05, 0.3), (pooled, scattered)):
        share = np.mean(np.array(values) <= level)
        assert share <= level + 3 * (level / runs) ** 0.5
        assert share >= level - 3 * (level / runs) ** 0.5 - 0.01  # and no rarer than need be


def test_what_single_rows_cannot_show() -> None:
    rng, n, m = np.random.default_rng(1), 10_000, 10_000
    p = np.tile(MIXED, 2)

    def found(votes: NDArray[np.int64], n: int, m: int = m) -> tuple[float, float]:
        both = together(counts(votes, n, rng.binomial(m, p), m), level=1e-3, seed=2)
        return both.pooled_p, both.dispersion_p

    least = 1 / 5000
    assert found(rng.binomial(n, np.minimum(1.0, 1.005 * p)), n)[0] == least
    best = rng.binomial(n, p, size=(100, len(p))).max(0)  # of a hundred seeds
    assert found(best, n)[0] == least
    tenfold = 10 * rng.binomial(n, p)
    pooled, scattered = found(tenfold, 10 * n)
    assert pooled > 1e-3
    assert scattered == least
    low = rng.binomial(n, 0.99 * p)  # claims too little: no certificate is wrong by that
    assert found(low, n)[0] > 0.9


@pytest.mark.parametrize("excess", [0.001, 0.003, 0.01])
def test_the_power_that_is_stated_is_that_of_the_test(excess: float) -> None:
    rng, n, m, runs, level = np.random.default_rng(3), 4000, 1000, 150, 0.0125
    p = MIXED[::4]
    seen = []
    for seed in range(runs):
        votes = np.rint(rng.binomial(n, p) * (1.0 + excess)).astype(np.int64)
        forged = counts(np.minimum(n, votes), n, rng.binomial(m, p), m)
        seen.append(together(forged, level=level, seed=seed).pooled_p < level)
    log = true(rng, p, n, m)
    stated = power(
        log, excess=excess, critical=together(log, level=level, seed=0).critical, seed=0
    )
    assert stated == pytest.approx(np.mean(seen), abs=0.12)
    assert {0.001: 0.0, 0.003: 0.05, 0.01: 0.6}[excess] <= stated < 1.0


def test_votes_that_stopped_early_by_hand() -> None:
    # 50 of 50 votes at one look: the bound at a / 2 is (a / 2)^(1/50), and below it are no votes
    # of 100 with (1 - bound)^100, which is to be a / 2 as well.
    p_value = stopped_p_value(50, 50, 1, 0, 100)
    half = p_value / 2
    assert (1.0 - half ** (1 / 50)) ** 100 == pytest.approx(half, rel=1e-4)
    assert stopped_p_value(50, 50, 1, 100, 100) == 1.0
    assert stopped_p_value(0, 50, 1, 0, 100) == 1.0  # no bound at all
    assert stopped_p_value(50, 50, 10, 20, 100) > stopped_p_value(50, 50, 1, 20, 100)


def test_votes_that_stopped_early_are_suspected_as_rarely_as_the_level_says() -> None:
    n, alpha, sigma, runs, m = 1000, 0.2, 1.0, 1000, 2000
    tests = RadiusTests.of([0.0, 0.5, 1.0], sigma=sigma, n=n, alpha=alpha)
    p = needed_probability(0.5, sigma)  # certified at 0.5 is wrong, with probability alpha
    rng = np.random.default_rng(4)
    votes = rng.binomial(np.diff(tests.looks, prepend=0), p, size=(runs, len(tests.looks)))
    given = [tests.certificate(0, row.tolist(), n0=1) for row in votes.cumsum(1)]
    fresh = rng.binomial(m, p, runs)
    times = len(looks(n))
    p_values = np.array(
        [
            stopped_p_value(one.votes, one.draws, times, int(new), m)
            for one, new in zip(given, fresh, strict=True)
        ]
    )
    for level in (0.001, 0.01, 0.1):
        assert np.mean(p_values <= level) <= level + 3 * (level / runs) ** 0.5
    # What the row claims is false more often than that, and fresh draws would show it.
    claimed = np.array([one.radius > 0.4 for one in given])
    assert np.mean(claimed) > 0.1
    wrong = binom.cdf(fresh, m, [one.p_lower for one in given]) < 0.5
    assert np.mean(claimed & wrong) > 0.05


def test_votes_that_stopped_early_and_are_false_are_found() -> None:
    assert stopped_p_value(50, 50, 80, 1000, 2000) < 1e-6
    assert stopped_p_value(9_900, 10_000, 80, 9_700, 10_000) < 1e-6
    assert binomial_lower_tail(9_700, 10_000, 0.99) < 1e-6


def test_flips() -> None:
    assert flips_p_value(0, 10_000, 1e-4) == 1.0
    assert flips_p_value(1, 10_000, 1e-4) == pytest.approx(1 - (1 - 1e-4) ** 10_000)
    assert flips_p_value(100, 10_000, 1e-4) < 1e-100
    assert flips_p_value(1, 10_000, 0.0) == 0.0


def test_bonferroni() -> None:
    assert agreeing([0.01, 0.0249, 0.025, 1.0], level=0.1) == [False, False, True, True]
    rng, runs, rows = np.random.default_rng(5), 2000, 30
    alarms = [not all(agreeing(rng.uniform(size=rows).tolist(), level=0.05)) for _ in range(runs)]
    assert np.mean(alarms) <= 0.05 + 3 * (0.05 / runs) ** 0.5

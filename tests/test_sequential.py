"""Sequential tests err as rarely as they say, whenever one stops looking."""

from collections.abc import Sequence
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from scipy.stats import binom

from rszoo.theory import sequential
from rszoo.theory.bounds import clopper_pearson_lower
from rszoo.theory.radii import needed_probability
from rszoo.theory.sequential import Boundary, boundary, looks

PROPORTIONS = [0.3, 0.5, 0.6915, 0.84, 0.9, 0.977, 0.99, 0.9987]


def crossing(test: Boundary, p: float, *, side: str) -> float:
    """Return the probability of ever crossing one side, by exact rational arithmetic."""
    share, alive, time, crossed = Fraction(p), {0: Fraction(1)}, 0, Fraction(0)
    for look, above, below in zip(
        test.looks.tolist(), test.above.tolist(), test.below.tolist(), strict=True
    ):
        draws = look - time
        more = [comb(draws, k) * share**k * (1 - share) ** (draws - k) for k in range(draws + 1)]
        later: dict[int, Fraction] = {}
        for count, mass in alive.items():
            for k, chance in enumerate(more):
                later[count + k] = later.get(count + k, Fraction(0)) + mass * chance
        out = {c for c in later if (c >= above if side == "above" else c <= below)}
        crossed += sum(later[c] for c in out)
        alive = {c: mass for c, mass in later.items() if c not in out}
        time = look
    return float(crossed)


def enumerated(test: Boundary, p: float, *, side: str) -> float:
    """Return the same for more draws: in floating point, leaving nothing out."""
    alive, time, crossed = np.ones(1), 0, 0.0
    for look, above, below in zip(
        test.looks.tolist(), test.above.tolist(), test.below.tolist(), strict=True
    ):
        draws, time = look - time, look
        alive = np.convolve(alive, binom.pmf(np.arange(draws + 1), draws, p))
        counts = np.arange(len(alive))
        out = counts >= above if side == "above" else counts <= below
        crossed += float(alive[out].sum())
        alive[out] = 0.0
    return crossed


def simulated(test: Boundary, p: float, runs: int) -> tuple[float, float]:
    """Return how often simulated draws ever cross above, and below."""
    rng = np.random.default_rng(0)
    steps = np.diff(test.looks, prepend=0)
    counts = rng.binomial(steps, p, size=(runs, len(steps))).cumsum(1)
    above, below = (counts >= test.above).any(1), (counts <= test.below).any(1)
    return float(above.mean()), float(below.mean())


@pytest.mark.parametrize("p", [0.5, 0.9])
@pytest.mark.parametrize("side", ["above", "below"])
def test_the_error_is_within_alpha_and_not_far_below_exactly(p: float, side: str) -> None:
    test = boundary(p, 120, 0.05)
    assert len(test.looks) > 5
    assert 0.02 < crossing(test, p, side=side) <= 0.05


@pytest.mark.parametrize("alpha", [1e-9, 1e-8, 1e-6, 0.001, 0.05])
@pytest.mark.parametrize("p", [0.3, 0.5, 0.9, 0.977])
@pytest.mark.parametrize("side", ["above", "below"])
def test_the_error_is_within_alpha_after_thousands_of_draws(
    alpha: float, p: float, side: str
) -> None:
    """Also of an alpha so small that what is left out of the distributions might matter."""
    assert 0.9 * alpha < enumerated(boundary(p, 5000, alpha), p, side=side) <= alpha


@pytest.mark.parametrize(("p", "count", "margin"), [(0.3, 5, 1e-6), (0.5, 3, 1.03e-3)])
def test_a_margin_is_kept_for_what_is_left_out(p: float, count: int, margin: float) -> None:
    """At one look: a millionth of alpha, and 10^-11, a thousandth of an alpha of 10^-8."""
    n, rare = 40, binom.cdf(count, 40, p)
    for share, decided in ((0.5, count - 1), (2.0, count)):
        alpha = rare * (1 + share * margin)
        assert boundary(p, n, alpha).below.tolist() == [decided]
        assert boundary(1 - p, n, alpha).above.tolist() == [n - decided]


@pytest.mark.parametrize(
    ("times", "cost"), [([100 * 2**i for i in range(11)], 8.2), (range(1000, 100_001, 1000), 13.1)]
)
def test_asking_again_with_more_draws_of_one_seed_costs_many_alpha(
    times: Sequence[int], cost: float
) -> None:
    """The numbers of docs/certification.md: certify with n draws, or else with more."""
    alive, first, time, certified = np.ones(1), 0, 0, 0.0
    for n in times:
        alive, time = np.convolve(alive, binom.pmf(np.arange(n - time + 1), n - time, 0.5)), n
        enough = int(binom.isf(0.001, n, 0.5)) + 1
        assert clopper_pearson_lower(enough - 1, n, 0.001) < 0.5
        assert clopper_pearson_lower(enough, n, 0.001) >= 0.5
        certified += float(alive[enough - first :].sum())
        alive = alive[: enough - first]
        kept = int(np.flatnonzero(alive > 1e-18)[0])
        alive, first = alive[kept:], first + kept
    assert certified / 0.001 == pytest.approx(cost, abs=0.05)


@pytest.mark.parametrize("alpha", [0.01, 0.2])
@pytest.mark.parametrize("p", PROPORTIONS)
def test_the_error_rate_at_the_boundary_by_simulation(p: float, alpha: float) -> None:
    runs = 40_000
    errors = simulated(boundary(p, 20_000, alpha), p, runs)
    # Three standard errors: a rate of exactly alpha fails once in a thousand.
    assert max(errors) <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / runs)
    assert min(errors) > 0.4 * alpha  # nor is it idle


@pytest.mark.parametrize("p", PROPORTIONS)
def test_away_from_the_boundary_errors_are_rarer(p: float) -> None:
    test = boundary(p, 20_000, 0.05)
    assert simulated(test, p - 0.02 * (1 - p), 4000)[0] <= 0.05
    assert simulated(test, p + 0.02 * (1 - p), 4000)[1] <= 0.05


def test_a_threshold_one_too_low_is_noticed() -> None:
    test = boundary(0.9, 120, 0.05)
    assert crossing(lowered(test, 1), 0.9, side="above") > 0.05


def test_ignoring_the_earlier_looks_is_noticed() -> None:
    """A fixed-n threshold at every look: the mistake that sequential tests are there to avoid."""
    from scipy.stats import binom

    times = looks(20_000)
    naive = Boundary(
        looks=times,
        above=binom.isf(0.01, times, 0.9).astype(np.int64) + 1,
        below=np.full(len(times), -1),
    )
    assert simulated(naive, 0.9, 4000)[0] > 0.02


def lowered(test: Boundary, by: int) -> Boundary:
    above: NDArray[np.int64] = test.above - by
    return Boundary(looks=test.looks, above=above, below=test.below)


def test_unanimous_draws_decide_as_soon_as_a_fixed_test_could_at_the_end() -> None:
    # 0.99993^100000 < 0.001: at the last look no error has been spent on unanimous draws.
    assert boundary(0.99993, 100_000, 0.001).above[-1] <= 100_000
    assert boundary(0.999932, 100_000, 0.001).above[-1] == 100_001


def test_looks_increase_and_end_with_n() -> None:
    for n in (1, 49, 50, 51, 1000, 100_000):
        times = looks(n)
        assert times[-1] == n
        assert (np.diff(times) > 0).all()
    assert len(looks(100_000)) == 80


@pytest.mark.parametrize(
    ("p", "n", "alpha"),
    [
        (0.0, 10, 0.1),
        (1.0, 10, 0.1),
        (0.5, 0, 0.1),
        (0.5, 10, 0.0),
        (0.5, 10, 1e-10),
        (0.5, 10_000_001, 0.1),
    ],
)
def test_arguments_out_of_range(p: float, n: int, alpha: float) -> None:
    with pytest.raises(
        ValueError,
        match=r"^expected p in \(0, 1\), n from 1 to 10000000, alpha from 1e-09 to below 1, got ",
    ):
        boundary(p, n, alpha)


def test_what_was_decided_stays_decided() -> None:
    """As misses only grow, whoever has few of them late had few early."""
    for p in PROPORTIONS:
        test = boundary(p, 20_000, 0.001)
        assert (np.diff(test.looks - test.above) >= 0).all()
        assert (np.diff(test.below) >= 0).all()


@pytest.mark.parametrize("alpha", [1e-9, 1e-7, 1e-5])
def test_small_alpha_is_not_exceeded_by_what_is_left_out(alpha: float) -> None:
    test = boundary(0.5, 1000, alpha)
    # One look alone must not be likelier than all may be together.
    assert (binom.sf(test.above - 1, test.looks, 0.5) <= alpha).all()
    assert (binom.cdf(test.below, test.looks, 0.5) <= alpha).all()


@pytest.mark.parametrize("p", [1e-9, 0.001, 0.3, 0.5, 0.977, 1 - 1e-6])
@pytest.mark.parametrize("draws", [1, 7, 50, 9091, 1_000_000])
def test_the_distribution_of_a_count_is_scipys_but_for_its_tails(p: float, draws: int) -> None:
    probabilities, first = sequential._binomial(draws, p)
    counts = first + np.arange(len(probabilities))
    np.testing.assert_allclose(probabilities, binom.pmf(counts, draws, p), rtol=1e-10)
    assert binom.cdf(first - 1, draws, p) <= 1e-14
    assert binom.sf(counts[-1], draws, p) <= 1e-14


def transformed(
    undecided: NDArray[np.float64], offset: int, draws: int, p: float
) -> tuple[NDArray[np.float64], int]:
    """The distribution after more draws, by scipy: as the first version of rszoo made it."""
    first, last = int(binom.ppf(1e-14, draws, p)), int(binom.isf(1e-14, draws, p))
    more = binom.pmf(np.arange(first, last + 1), draws, p)
    later = np.maximum(fftconvolve(undecided, more), 0.0)
    kept = np.flatnonzero(later > 1e-14 / len(later))
    return later[kept[0] : kept[-1] + 1], offset + first + int(kept[0])


@pytest.mark.parametrize("alpha", [0.05, 0.001, 0.0001])
@pytest.mark.parametrize("n", [100, 2000, 20_000])
def test_what_decided_in_older_logs_still_decides(
    n: int, alpha: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs are checked against the boundaries, which are the same count for count."""
    needed = [needed_probability(radius, 0.5) for radius in (0.0, 0.25, 0.5, 1.0, 1.5)]
    tests = [boundary(p, n, alpha) for p in needed]
    monkeypatch.setattr(sequential, "_after", transformed)
    for p, test in zip(needed, tests, strict=True):
        sequential.enough.cache_clear()
        before = boundary.__wrapped__(p, n, alpha)
        assert before is not test
        np.testing.assert_array_equal(test.above, before.above)
        np.testing.assert_array_equal(test.below, before.below)

"""Sets of levels: their votes by hand, and how often the certain ones miss the median."""

import numpy as np
import pytest
from scipy.stats import binom, norm

from rszoo.smoothing.level_sets import LevelSet, certain_levels, expected_radius, level_sets


def test_all_sets_of_neighbours() -> None:
    assert [list(one.levels) for one in level_sets(3)] == [
        [0], [1], [2], [0, 1], [1, 2], [0, 1, 2],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("among", "votes"),
    [(LevelSet(0, 0), 20), (LevelSet(1, 1), 70), (LevelSet(2, 2), 30), (LevelSet(0, 1), 70),
     (LevelSet(1, 2), 80), (LevelSet(0, 2), 100)],
)  # fmt: skip
def test_votes_for_the_less_frequent_side(among: LevelSet, votes: int) -> None:
    assert among.votes([20, 50, 30]) == votes


@pytest.mark.parametrize(
    ("votes", "levels"),
    [
        ([1000, 0, 0], [0]),
        ([0, 1000, 0], [1]),
        ([0, 0, 1000], [2]),
        ([500, 500, 0], [0, 1]),
        ([0, 490, 510], [1, 2]),
        ([490, 20, 490], [0, 1, 2]),
        ([400, 200, 400], [1]),
    ],
)
def test_the_certain_levels(votes: list[int], levels: list[int]) -> None:
    assert list(certain_levels(votes, 0.001).levels) == levels


def test_how_often_the_median_is_not_among_the_certain_levels() -> None:
    rng = np.random.default_rng(0)
    trials, alpha = 4000, 0.1
    # The median is barely level 1, from both sides.
    drawn = rng.multinomial(400, [0.499, 0.002, 0.499], size=trials)
    missed = sum(1 not in certain_levels(votes.tolist(), alpha).levels for votes in drawn)
    assert missed <= binom.isf(1e-4, trials, alpha)
    assert missed > binom.isf(1e-4, trials, alpha / 2)  # both sides are needed


def test_the_expected_radius() -> None:
    assert expected_radius(84, 100, 0.5, cap=9.0) == pytest.approx(0.5 * norm.ppf(84.5 / 101))
    assert expected_radius(100, 100, 0.5, cap=1.0) == 1.0
    assert expected_radius(40, 100, 0.5, cap=1.0) == 0.0

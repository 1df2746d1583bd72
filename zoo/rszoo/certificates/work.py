"""How much work the sequential tests of one log may be: it is counted before any is worked out.

A log may be anybody's, and what decides at one radius takes up to half a second to work out. All
rows of a true log are about the same few radii, so that what one took serves the others.
"""

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["MOST_DRAWS", "MOST_TESTS", "Test", "check_work"]

#: Tests of one log, which differ in radius, sigma, n or alpha: three times the finest grid.
MOST_TESTS = 6_000

#: Draws that all of them may make, n each: 250 tests of 10,000,000 draws, a minute's work.
MOST_DRAWS = 2_500_000_000


class Test(NamedTuple):
    """A sequential test of whether something is certified at a radius.

    Attributes:
        radius, sigma: what is asked, and of which noise; pixel units.
        n, alpha: the draws that may be made, and the probability of a wrong answer.
    """

    radius: float
    sigma: float
    n: int
    alpha: float


def check_work(tests: Iterable[Test]) -> None:
    """Refuse tests that are too much work together; those that are equal count once.

    Raises:
        ValueError: more tests, or tests of more draws, than one log may have.
    """
    known: set[Test] = set()
    draws = 0
    for test in tests:
        if test not in known:
            known.add(test)
            draws += test.n
            if len(known) > MOST_TESTS:
                raise ValueError(f"expected at most {MOST_TESTS:,} tests at a radius, got more")
            if draws > MOST_DRAWS:
                raise ValueError(
                    f"expected tests at a radius of at most {MOST_DRAWS:,} draws in all, got more"
                )

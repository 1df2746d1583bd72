"""What paired differences say of their mean: an interval, and a sign test where few pairs differ.

Two models often differ on few inputs, and by little on most of them: the differences are mostly 0,
and skewed. The normal approximation then covers the mean far too rarely. Here the interval is the
smallest that holds two others:

- Student's t, with the number of differing pairs less one for its degrees of freedom, as zeros say
  nothing of the spread of the others;
- that of Hall (1992), On the removal of skewness by transformation, Journal of the Royal
  Statistical Society B 54, 221-228, from the same quantile, which reaches further to the side of
  the long tail.

With fewer than `FEWEST` differing pairs there is none. In simulations of 360 pairs, of which 5 to
360 differ on average, by amounts that are constant, uniform, exponential, log-normal or of both
signs, the interval at 95 % held the mean in 95 % or more of the cases in which there was one. The
normal approximation held it in 78 to 88 % where 5 differ, in 87 to 93 % where 20 do, and in half
of all cases where 1 does (`tests/test_paired.py`). A difference that is large and so rare that no
pair has it is in no interval that the pairs alone can give.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from rszoo.theory.bounds import majority_p_value

__all__ = ["FEWEST", "Comparison", "compared"]

#: How many pairs must differ for an interval.
FEWEST = 10


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What paired differences say.

    Attributes:
        mean: of the differences.
        low, high: an interval for the mean of which the pairs are a random sample; None where
            fewer than `FEWEST` differ, or all by the same, which says nothing of their spread.
        up, down: how many differences are above and below 0.
        p_value: of the two-sided sign test that up is as likely as down; 1 if none differs.
    """

    mean: float
    low: float | None
    high: float | None
    up: int
    down: int
    p_value: float


def compared(differences: NDArray[np.float64], *, confidence: float) -> Comparison:
    """Return the mean of paired differences, its interval, and a sign test.

    Guarantee:
        The sign test is exact: if a pair that differs is as likely to differ upwards as
        downwards, its p-value is at most a with probability at most a. The interval is an
        approximation, measured as the module says.

    Args:
        differences: one per pair, finite; at least one.
        confidence: of the interval, in (0, 1).
    """
    up, down = int((differences > 0.0).sum()), int((differences < 0.0).sum())
    mean = float(differences.mean())
    low = high = None
    if up + down >= FEWEST and differences.min() < differences.max():
        # With t a positive quantile: high is where the studentised mean is -t, low where it is t.
        t = float(stdtrit(up + down - 1, (1.0 + confidence) / 2))
        below, above = _reaches(differences, t)
        low, high = mean - below, mean + above
    return Comparison(
        mean=mean,
        low=low,
        high=high,
        up=up,
        down=down,
        p_value=majority_p_value(max(up, down), min(up, down)),
    )


def _reaches(differences: NDArray[np.float64], t: float) -> tuple[float, float]:
    """Return how far the interval reaches below and above the mean, by the wider of both."""
    n, spread = len(differences), float(differences.std(ddof=1))
    at = t / math.sqrt(n)
    skewness = float(np.mean((differences - differences.mean()) ** 3)) / spread**3
    by_skewness = (_untransformed(at, skewness, n), -_untransformed(-at, skewness, n))
    below, above = (spread * max(at, one) for one in by_skewness)
    return below, above


def _untransformed(x: float, skewness: float, n: int) -> float:
    """Return the studentised mean whose transform by Hall, free of skewness, is x."""
    if abs(skewness) < 1e-6:  # the limit, beyond what the cube root can resolve
        return x
    cube = 1.0 + skewness * (x - skewness / (6 * n))
    return 3.0 / skewness * (float(np.cbrt(cube)) - 1.0)

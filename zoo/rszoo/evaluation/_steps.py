"""The exact curve of certified accuracy: a step at every radius of a right answer."""

import numpy as np
from numpy.typing import NDArray

from rszoo.evaluation.log import LogTable

__all__ = ["steps"]


def steps(log: LogTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the corners of a log's curve: y[i] holds for radii in (x[i-1], x[i]].

    Returns:
        Radii, from 0 to the largest certified one (twice: there the curve falls to 0), and the
        share of all inputs that are certified and right at each.
    """
    gained = np.sort(log.radius[log.correct])
    radii = np.unique(np.concatenate([[0.0], gained]))
    shares = (len(gained) - np.searchsorted(gained, radii, side="left")) / len(log)
    return np.append(radii, radii[-1]), np.append(shares, 0.0)

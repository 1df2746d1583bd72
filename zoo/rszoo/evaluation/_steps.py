"""The exact curve of certified accuracy: a step at every radius of a right answer."""

import numpy as np
from numpy.typing import NDArray

from rszoo.evaluation.log import LogTable

__all__ = ["cliff", "points", "steps"]

#: So many inputs, as a share, have the same largest radius where it is the draws that end a curve.
_CLIFF = 0.02


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


def points(log: LogTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the given radii of a log, and the share certified at each: there is no curve.

    Args:
        log: certified at given radii.
    """
    given = np.array(log.given, dtype=np.float64)
    gained = log.radius[log.correct]
    return given, (gained[:, None] >= given).sum(0) / len(log)


def cliff(log: LogTable) -> tuple[float, float] | None:
    """Return radius and share where a curve ends for want of draws; None where it does not.

    No draws can certify more than those that all agree. Where many inputs are there, they have the
    same largest radius. Where given radii were tested, it is they that end the curve.
    """
    largest = log.radius[log.correct].max(initial=0.0)
    there = log.correct & (log.radius == largest)
    if log.votes is not None and log.n is not None:  # else equal radii have to do
        there &= log.votes >= log.n
    share = float(there.sum() / max(len(log), 1))
    if log.tested is not None or largest == 0 or share < _CLIFF:
        return None
    return float(largest), share

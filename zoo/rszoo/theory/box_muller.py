"""What normal numbers that are made of whole multiples of a small step can be, and what not.

Generators make two normal numbers of two uniform ones, u and v, at the norm sqrt(-2 ln u) and the
angle 2 pi v (Box and Muller, 1958, https://doi.org/10.1214/aoms/1177706645). u is a multiple of a
step: nothing is drawn beyond the norm of the smallest, and far out the norms lie apart.

The total variation distance of such numbers, or of any that a computer holds, from the Gaussian is
1: there are countably many. What can be said is how much of the Gaussian is out of reach, how much
of it lies where norms are further apart than one cares for, and, once noise is rounded to a
lattice, how far its law is from that of the rounded Gaussian (`rszoo.smoothing.lattice`).
"""

import math

__all__ = ["coarse_share", "furthest", "unreached_share"]


def furthest(smallest: float) -> float:
    """Return the largest norm of two numbers, for a smallest uniform number in (0, 1).

    >>> f"{furthest(2.0**-24):.4f}", f"{furthest(2.0**-33):.4f}", f"{furthest(2.0**-53):.4f}"
    ('5.7681', '6.7637', '8.5717')
    """
    return math.sqrt(-2.0 * math.log(smallest))


def unreached_share(numbers: int, *, smallest: float) -> float:
    """Return the share of the Gaussian where some two numbers have a larger norm than is drawn.

    Guarantee:
        It is exact: the norm of two standard normal numbers is beyond r with a probability of
        exp(-r^2 / 2), which is `smallest` itself at the largest norm.

    Args:
        numbers: of a draw, made two at a time.
        smallest: uniform number, in (0, 1).

    >>> f"{unreached_share(3 * 224 * 224, smallest=2.0**-24):.2e}"
    '4.48e-03'
    """
    return -math.expm1(numbers / 2 * math.log1p(-smallest))


def coarse_share(numbers: int, *, step: float, spacing: float) -> float:
    """Return the share of the Gaussian where the norms that are drawn are too far apart.

    Guarantee:
        Draws and Gaussian numbers can be put side by side so that, but for this share, the norms
        of any two numbers that were made together differ by at most `spacing`. The draws are the
        Gaussian ones with every u rounded up to a multiple of `step`.

    Args:
        numbers: of a draw, made two at a time.
        step: of the uniform numbers, in (0, 1).
        spacing: that is fine enough, in units of the standard deviation; at least that of the two
            smallest norms, about sqrt(2 step).

    Raises:
        ValueError: spacing is smaller than that.

    >>> f"{coarse_share(28 * 28, step=2.0**-24, spacing=0.01):.1e}"
    '4.4e-04'
    """
    least = _gap(round(1.0 / step) - 1, step)
    if not least <= spacing:
        raise ValueError(f"expected spacing >= {least:.4g}, got {spacing!r}")
    # u in (k step, (k + 1) step] is drawn as its end: off by less than a gap, but for k = 0. Gaps
    # shrink up to u = exp(-1/2), and are never again above the last.
    few, many = 0, round(1.0 / step) // 2
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (middle, many) if _gap(middle, step) > spacing else (few, middle)
    return unreached_share(numbers, smallest=many * step)


def _gap(k: int, step: float) -> float:
    """Return how far the norms at k and at k + 1 steps are apart, for k >= 1."""
    return furthest(k * step) - math.sqrt(max(0.0, -2.0 * math.log((k + 1) * step)))

"""How claims are written: a number that is cut short promises less than the number in full.

Shares of right answers, radii and lower ends go down, abstentions, errors, costs and upper ends
up. Tables, cards, pages and pictures all write through here, so that one number looks the same on
each of them, and 100.0 means all.

A float stands for the shortest decimal that is read as this float: 287 of 1000 is 28.7 %, though
the float is a little less. Counted shares are thereby rounded as their fractions are. A certified
radius is the float itself (`floor_digits`).
"""

import math
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Context, Decimal

__all__ = [
    "as_acr",
    "as_cost",
    "as_difference",
    "as_distance",
    "as_error",
    "as_expected",
    "as_interval",
    "as_p_value",
    "as_proportion",
    "as_radius",
    "as_range",
    "as_share",
    "as_share_at_most",
    "as_stated",
    "floor_digits",
]

_EXACT = Context(prec=400)  # digits; the largest float has 309 before the point
_PERCENT_DIGITS = 1
_PROPORTION_DIGITS = 4
_P_VALUE_DIGITS = 3
_EXPECTED_DIGITS = 2
_RADIUS_DIGITS = 3


def floor_digits(value: float, digits: int) -> str:
    """Return `value` with `digits` decimals, rounded down (towards minus infinity).

    A certified radius that is printed passes through here.

    Guarantee:
        What is written is no larger than the float, exactly.

    >>> floor_digits(1.90576, 2), floor_digits(0.3, 1)
    ('1.90', '0.2')
    """
    # Decimal(float) is exact: 0.3 is a little less than 3/10, so one decimal of it is 0.2.
    return _written(Decimal(value), digits, ROUND_FLOOR)


def as_share(share: float) -> str:
    """Return a share of right answers, of votes and the like in per cent, rounded down.

    >>> as_share(0.9996), as_share(287 / 1000), as_share(1.0)
    ('99.9', '28.7', '100.0')
    """
    return _written(100 * _decimal(share), _PERCENT_DIGITS, ROUND_FLOOR)


def as_share_at_most(share: float) -> str:
    """Return a share of abstentions, or the upper end of an interval, in per cent, rounded up.

    >>> as_share_at_most(1 / 360), as_share_at_most(0.0)
    ('0.3', '0.0')
    """
    return _written(100 * _decimal(share), _PERCENT_DIGITS, ROUND_CEILING)


def as_interval(ends: tuple[float, float]) -> str:
    """Return an interval of shares in per cent, rounded outwards.

    >>> as_interval((0.2507, 0.9991))
    '25.0-100.0'
    """
    return f"{as_share(ends[0])}-{as_share_at_most(ends[1])}"


def as_proportion(p: float) -> str:
    """Return the share of the draws that fell on a class, rounded down: 1 only where all did.

    >>> as_proportion(0.9945), as_proportion(0.99999)
    ('0.9945', '0.9999')
    """
    return _written(_decimal(p), _PROPORTION_DIGITS, ROUND_FLOOR)


def as_acr(value: float) -> str:
    """Return an average certified radius, or another average of radii, rounded down.

    >>> as_acr(0.5579), as_acr(0.424)
    ('0.557', '0.424')
    """
    return _written(_decimal(value), _RADIUS_DIGITS, ROUND_FLOOR)


def as_error(value: float) -> str:
    """Return a standard error or a standard deviation of radii, rounded up.

    >>> as_error(0.0101)
    '0.011'
    """
    return _written(_decimal(value), _RADIUS_DIGITS, ROUND_CEILING)


def as_difference(value: float) -> str:
    """Return a difference of averages with its sign, rounded towards zero.

    >>> as_difference(0.0129), as_difference(-0.0129), as_difference(-0.0001)
    ('+0.012', '-0.012', '+0.000')
    """
    return _signed(value, ROUND_DOWN)


def as_range(low: float, high: float) -> str:
    """Return the interval of a difference of averages, rounded outwards.

    >>> as_range(-0.0191, 0.0061)
    '-0.020 to +0.007'
    """
    return f"{_signed(low, ROUND_FLOOR)} to {_signed(high, ROUND_CEILING)}"


def as_p_value(p: float) -> str:
    """Return the p-value of a test, rounded up.

    >>> as_p_value(0.0414), as_p_value(1e-12)
    ('0.042', '0.001')
    """
    return _written(_decimal(p), _P_VALUE_DIGITS, ROUND_CEILING)


def as_radius(value: float) -> str:
    """Return a radius that was chosen, not certified: as short as it can be said exactly.

    >>> as_radius(0.5), as_radius(0.375), as_radius(1e-07)
    ('0.50', '0.375', '1e-07')
    """
    short = _written(_decimal(value), 2, ROUND_FLOOR)
    return short if float(short) == value else as_stated(value)


def as_stated(value: float) -> str:
    """Return a setting such as alpha or sigma: as short as it can be said exactly.

    >>> as_stated(0.5), as_stated(1.0), as_stated(0.00149999999)
    ('0.5', '1', '0.00149999999')
    """
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def as_distance(value: float) -> str:
    """Return a distance that was chosen for an attack: as short as it can be said exactly.

    >>> as_distance(8 / 255), as_distance(0.2), as_distance(0.031)
    ('8/255', '0.2', '0.031')
    """
    levels = round(255 * value) if value < 1 else 0
    written = [as_stated(value), *([f"{levels}/255"] if levels / 255 == value else [])]
    return min(written, key=len)


def as_expected(number: float) -> str:
    """Return an expected number of wrong certificates, rounded up.

    >>> as_expected(0.36), as_expected(0.0001), as_expected(10.0)
    ('0.36', '0.01', '10.00')
    """
    return _written(_decimal(number), _EXPECTED_DIGITS, ROUND_CEILING)


def as_cost(value: float) -> str:
    """Return an average number of draws, rounded up to a whole one.

    >>> as_cost(1234.1)
    '1,235'
    """
    return f"{math.ceil(value):,}"


def _decimal(value: float) -> Decimal:
    """Return the shortest decimal that is read as this float."""
    return Decimal(repr(float(value)))


def _signed(value: float, rounding: str) -> str:
    text = _written(_decimal(value), _RADIUS_DIGITS, rounding)
    return f"+{text.removeprefix('-')}" if float(text) >= 0 else text


def _written(value: Decimal, digits: int, rounding: str) -> str:
    written = value.quantize(Decimal(1).scaleb(-digits), rounding=rounding, context=_EXACT)
    return f"{written:f}"

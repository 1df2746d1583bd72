"""Numbers as people type them: counts such as 1e5 or 100,000, distances such as 8/255."""

import math
import re
from collections.abc import Callable
from decimal import Decimal

import typer

__all__ = ["count", "distance", "scheme_named"]

_DIGITS = 18  # no count has more
_GROUPED = re.compile(r"\d{1,3}(,\d{3})+|\d{1,3}(_\d{3})+", re.ASCII)
_WRITTEN = re.compile(r"[+-]?\d{1,20}(\.\d{0,20})?([eE][+-]?\d{1,3})?", re.ASCII)


def count(least: int = 1, most: int | None = None) -> Callable[[str | int], int]:
    """Return the reader of a whole number in a range: 100000, 100,000, 100_000 or 1e5.

    >>> count()("1e5"), count()("100,000"), count()("2.5e3")
    (100000, 100000, 2500)

    Args:
        least, most: the smallest and the largest that is taken; None for no largest.
    """
    limits = f"{least:,} to {most:,}" if most is not None else f"{least:,} or more"

    def read(text: str | int) -> int:
        value = _whole(str(text).strip())
        if value is None:
            raise typer.BadParameter(
                f"expected a whole number such as 100000, 100,000 or 1e5, got {text!r}"
            )
        if value < least or (most is not None and value > most):
            raise typer.BadParameter(f"expected {limits}, got {text!r}")
        return value

    return read


def _whole(text: str) -> int | None:
    """Return the whole number that a text says, or None."""
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "").replace("_", "")
    if not _WRITTEN.fullmatch(text):
        return None
    value = Decimal(text)
    if value.adjusted() > _DIGITS or value != value.to_integral_value():
        return None
    return int(value)


def distance(text: str | float) -> float:
    """Return a positive distance, which may be written as a fraction.

    >>> distance("8/255") == 8 / 255, distance("0.5")
    (True, 0.5)

    Raises:
        typer.BadParameter: it is no positive finite number.
    """
    try:
        over, slash, under = str(text).partition("/")
        value = float(over) / (float(under) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not 0.0 < value < math.inf:
        raise typer.BadParameter(
            f"expected 0 < eps < infinity, as a number or a fraction such as 8/255, got {text!r}"
        )
    return value


def scheme_named(name: str | None) -> str | None:
    """Return the name of a noise scheme, if there is one of that name.

    Raises:
        typer.BadParameter: there is none.
    """
    if name is not None:
        from rszoo.errors import unknown_name
        from rszoo.smoothing import schemes

        if name not in schemes.names():
            raise typer.BadParameter(str(unknown_name("noise scheme", name, schemes.names())))
    return name

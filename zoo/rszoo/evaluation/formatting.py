"""How shares, intervals, radii and durations are written in tables."""

__all__ = ["as_duration", "as_interval", "as_percent", "as_radius"]


def as_percent(share: float) -> str:
    """Return a share in per cent.

    >>> as_percent(0.5)
    '50.0'
    """
    return f"{100 * share:.1f}"


def as_duration(seconds: float) -> str:
    """Return a duration with the unit that fits it.

    >>> as_duration(0.42), as_duration(90), as_duration(36_000)
    ('0.4 s', '1.5 min', '10.0 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def as_interval(ends: tuple[float, float]) -> str:
    """Return an interval of shares in per cent.

    >>> as_interval((0.25, 1.0))
    '25.0-100.0'
    """
    return f"{as_percent(ends[0])}-{as_percent(ends[1])}"


def as_radius(value: float) -> str:
    """Return a radius that was chosen, not certified: as short as it can be said exactly.

    >>> as_radius(0.5), as_radius(0.125)
    ('0.50', '0.125')
    """
    short = f"{value:.2f}"
    return short if float(short) == value else repr(value)

"""How durations are written in tables."""

__all__ = ["as_duration"]


def as_duration(seconds: float) -> str:
    """Return a duration with the unit that fits it.

    >>> as_duration(0.42), as_duration(90), as_duration(36_000)
    ('0.4 s', '1.5 min', '10.0 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"

"""How durations are written, and what long work is expected to take."""

__all__ = ["as_duration", "as_rate", "expected", "slow_image"]

# Seconds for one image, beyond which there is something to do about it.
_PATIENCE = 60.0


def as_duration(seconds: float) -> str:
    """Return a duration with the unit that fits it.

    >>> as_duration(0.42), as_duration(90), as_duration(36_000)
    ('0.4 s', '1.5 min', '10.0 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def as_rate(rate: float, unit: str) -> str:
    """Return units in a second, with as many digits as tell something.

    >>> as_rate(41_234.5, "draws"), as_rate(0.094, "steps")
    ('41,234 draws/s', '0.094 steps/s')
    """
    return f"{rate:,.0f} {unit}/s" if rate >= 10 else f"{rate:.2g} {unit}/s"


def expected(work: str, unit: str, *, rate: float, seconds: float) -> str:
    """Return what long work is expected to take, in a line.

    Args:
        work: how much there is to do, in words.
        unit: of the rate, in the plural.
        rate: units in a second, as measured on this machine.
        seconds: what all of it takes.

    >>> expected("500 inputs", "draws", rate=41234.5, seconds=1221.0)
    '500 inputs, 41,234 draws/s here, about 20.4 min'
    """
    return f"{work}, {as_rate(rate, unit)} here, about {as_duration(seconds)}"


def slow_image(seconds: float, *, faster: str) -> str | None:
    """Return a warning where one image takes over a minute, and what to do; else None."""
    if seconds <= _PATIENCE:
        return None
    return f"warning: one image takes about {as_duration(seconds)}; {faster}"

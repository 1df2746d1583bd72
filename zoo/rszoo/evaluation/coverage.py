"""Is a log complete? Which of the inputs that it is about it lists, and which it lacks.

A number over inputs is a claim about a set of them: rows that were left out change it, and no
other check can tell. A protocol says which inputs a log is about; logs of before, and those of the
research code, do not say it, and what their rows suggest takes its place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from rszoo.certificates.protocol import Inputs
from rszoo.errors import DataError
from rszoo.evaluation.table import LogTable

__all__ = ["Coverage", "check_complete", "coverage", "coverage_of"]

_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """The inputs that a log lists, of those that it is about.

    Attributes:
        listed: how many inputs the log lists.
        count: how many it is about; of a log that does not say so, the fewest in equal steps from
            0 that have all listed ones among them.
        stated: whether the log says so.
        missing: the first few of those that it lacks.
    """

    listed: int
    count: int
    stated: bool
    missing: tuple[int, ...]

    @property
    def complete(self) -> bool:
        """Whether no input is known to be missing."""
        return self.listed == self.count

    @property
    def fraction(self) -> str:
        """The number of inputs, such as "360", or "320 of 360", or "320 of at least 360"."""
        if self.complete:
            return f"{self.listed:,}"
        return f"{self.listed:,} of {'' if self.stated else 'at least '}{self.count:,}"

    def __str__(self) -> str:
        """Return such as "320 of 360 inputs: missing 1, 7, 9, ..."."""
        if self.complete:
            known = "" if self.stated else ", the log does not say of how many"
            return f"{self.listed:,} inputs{known}"
        more = ", ..." if self.count - self.listed > len(self.missing) else ""
        return f"{self.fraction} inputs: missing {', '.join(map(str, self.missing))}{more}"


def coverage(log: LogTable) -> Coverage:
    """Return which of the inputs that a log is about it lists."""
    inputs = None if log.protocol is None else log.protocol.inputs
    return coverage_of(inputs, log.idx.tolist())


def coverage_of(inputs: Inputs | None, listed: Sequence[int]) -> Coverage:
    """Return which of the inputs that a protocol states are listed.

    Args:
        inputs: of the protocol; None without one.
        listed: index of each listed input, once each, and among those that are stated.
    """
    indices = None if inputs is None else inputs.indices
    known, about = set(listed), _suggested(listed) if indices is None else indices
    return Coverage(
        listed=len(known),
        count=len(about),
        stated=indices is not None,
        missing=tuple(islice((idx for idx in about if idx not in known), _NAMED)),
    )


def check_complete(log: LogTable, *, remedy: str) -> None:
    """Refuse a log that lacks some of the inputs that it is about.

    Raises:
        DataError: names the first of them, and what to do, the `remedy`.
    """
    found = coverage(log)
    if not found.complete:
        raise DataError(
            f"{log.path}: expected every input that it is about, got {found}; {remedy}"
        )


def _suggested(listed: Sequence[int]) -> range:
    """Return the shortest range from 0 that holds all indices."""
    last, step = max(listed, default=-1), math.gcd(*listed)
    return range(0, last + 1, step or 1)

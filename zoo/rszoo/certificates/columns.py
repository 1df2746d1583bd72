"""The columns of a certification log: how each is read, checked, written and kept in memory."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "COUNTED",
    "INPUT",
    "ORIGINAL",
    "Column",
    "classes",
    "draws",
    "index",
    "radius",
    "real",
    "sigma",
]

# Columns of integers are arrays of int64, and how many there are up to one is such a number too.
_TOO_LARGE = (1 << 63) - 1


def _plain(value: Any) -> object:  # noqa: ANN401
    """Return a plain Python number, whose text is its repr: no float is shortened."""
    return value.item() if isinstance(value, np.generic) else value


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a log.

    Attributes:
        name: in the header.
        dtype: of the array that holds its values.
        read: from the text of a field to its value; raises `ValueError` where it cannot.
        holds: whether the column may hold a value that was read.
        expected: what it may hold, in words.
        write: from a value to what the csv writer takes.
    """

    name: str
    dtype: type
    read: Callable[[str], Any]
    expected: str
    holds: Callable[[Any], bool] = lambda value: True
    write: Callable[[Any], object] = _plain


def index(name: str) -> Column:
    """Return a column of integers from 0 on."""
    return _integer(name, least=0)


def draws(name: str) -> Column:
    """Return a column of numbers of draws, at least 1."""
    return _integer(name, least=1)


def _integer(name: str, *, least: int) -> Column:
    return Column(
        name=name,
        dtype=np.int64,
        read=int,
        holds=lambda value: least <= value < _TOO_LARGE,
        expected=f"an integer >= {least}",
    )


def real(name: str, holds: Callable[[float], bool], expected: str) -> Column:
    """Return a column of numbers."""
    return Column(name=name, dtype=np.float64, read=float, holds=holds, expected=expected)


def radius(name: str) -> Column:
    """Return a column of L2 radii in pixel units, at least 0."""
    return real(name, lambda value: 0.0 <= value < math.inf, "a finite number >= 0")


def sigma(name: str) -> Column:
    """Return a column of noise levels in pixel units, above 0."""
    return real(name, lambda value: 0.0 < value < math.inf, "a positive finite number")


def classes(name: str) -> Column:
    """Return a column of several classes each."""
    return Column(
        name=name,
        dtype=object,
        read=lambda text: tuple(int(one) for one in text.split(":") if text),
        holds=lambda found: all(0 <= one < _TOO_LARGE for one in found),
        expected="classes, with ':' between them",
        write=lambda found: ":".join(map(str, found)),
    )


def _text(name: str) -> Column:
    return Column(name=name, dtype=object, read=str, expected="text")


#: The columns of the original research code, with which every log begins.
ORIGINAL = (
    index("idx"),
    _integer("label", least=-1),
    _integer("predict", least=-1),
    radius("radius"),
    Column(
        name="correct",
        dtype=np.bool_,
        read=int,
        holds=lambda value: value in (0, 1),
        expected="0 or 1",
        write=int,
    ),
    _text("time"),  # in the original code's logs it may be anything
)

#: The columns of every log that holds counts: the fields of a `Certificate` of all its n draws.
COUNTED = (
    *ORIGINAL,
    index("candidate"),
    index("votes"),
    draws("n0"),
    draws("n"),
    real("alpha", lambda value: 0.0 < value < 1.0, "a number between 0 and 1"),
    sigma("sigma"),
    real("p_lower", lambda value: 0.0 <= value < 1.0, "a number in [0, 1)"),
)

#: The last column of logs of the user's own inputs: their names.
INPUT = _text("input")

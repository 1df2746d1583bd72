"""The text of a certification log: from a row's values to its line, and back with every check."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from rszoo.errors import DataError
from rszoo.evaluation._claims import early_claim, fixed_claim
from rszoo.evaluation._experts_rows import experts_fault
from rszoo.evaluation._per_input import MEMORY_FIELDS, NOMINAL_FIELDS, per_input_fault
from rszoo.smoothing.certificate import ABSTAIN, Experts, Reach

__all__ = [
    "CASCADE_COLUMNS",
    "COLUMNS",
    "DUAL_COLUMNS",
    "EARLY_COLUMNS",
    "MEMORY_COLUMNS",
    "MIXED_COLUMNS",
    "NOMINAL_COLUMNS",
    "ORIGINAL_COLUMNS",
    "Content",
    "is_correct",
    "line",
    "parse",
    "printable",
    "reaches_text",
]

#: The columns of the original research code.
ORIGINAL_COLUMNS = ("idx", "label", "predict", "radius", "correct", "time")

#: The columns of a log, in order; logs of the user's own inputs have `input` as one more.
COLUMNS = (*ORIGINAL_COLUMNS, "candidate", "votes", "n0", "n", "alpha", "sigma", "p_lower")

# Logs of the user's own inputs have their names as a last column.
_OWN = ((), ("input",))

#: One more each for certificates that may be decided before all n draws are made.
EARLY_COLUMNS = (*COLUMNS, "draws", "spent")

#: More for the certificates of cascades: the fields of `Experts`.
CASCADE_COLUMNS = (*COLUMNS, *(field.name for field in fields(Experts)))

#: More for the certificates of dual classifiers: the fields of `Routing`.
DUAL_COLUMNS = (
    *COLUMNS,
    "experts",
    "lowest_level",
    "highest_level",
    "expert_level",
    "expert_radius",
    "others",
    "router_radius",
    "router_votes",
    "router_draws",
    "router_spent",
    "router_sigma",
)

#: One more for the certificates of mixed classifiers.
MIXED_COLUMNS = (*COLUMNS, "alpha_mix")

#: More where the noise was searched for each input, with a memory and without.
MEMORY_COLUMNS = (*COLUMNS, *MEMORY_FIELDS)
NOMINAL_COLUMNS = (*COLUMNS, *NOMINAL_FIELDS)

_KINDS = (
    COLUMNS,
    EARLY_COLUMNS,
    CASCADE_COLUMNS,
    DUAL_COLUMNS,
    MIXED_COLUMNS,
    MEMORY_COLUMNS,
    NOMINAL_COLUMNS,
)

_HEADERS = (
    ORIGINAL_COLUMNS,
    *((*columns, *own) for columns in _KINDS for own in _OWN),
)

# Versions of scipy may differ in the last digits of a quantile.
_ARITHMETIC = 1e-9

_REMEDY = "restore the file, or certify again into a new one"


class _Field(NamedTuple):
    """How a column is read, which values it may hold, and how to say so."""

    read: Callable[[str], Any]
    holds: Callable[[Any], bool]
    expected: str


# Columns are arrays of int64.
_TOO_LARGE = 1 << 63
_INDEX = _Field(int, lambda value: 0 <= value < _TOO_LARGE, "an integer >= 0")
_CLASS = _Field(int, lambda value: -1 <= value < _TOO_LARGE, "an integer >= -1")
_DRAWS = _Field(int, lambda value: 1 <= value < _TOO_LARGE, "an integer >= 1")
_RADIUS = _Field(float, lambda value: 0.0 <= value < math.inf, "a finite number >= 0")
_ALPHA = _Field(float, lambda value: 0.0 < value < 1.0, "a number between 0 and 1")
_SIGMA = _Field(float, lambda value: 0.0 < value < math.inf, "a positive finite number")
_TEXT = _Field(str, lambda value: True, "text")


def _reaches(text: str) -> tuple[Reach, ...]:
    """Read what `reaches_text` has written."""
    return tuple(_reach(one.split(":")) for one in text.split(";") if text)


def _reach(parts: Sequence[str]) -> Reach:
    """Return one of them.

    Raises:
        ValueError: there are more or fewer fields, or one is out of range.
    """
    kinds = (_INDEX, _SIGMA, _RADIUS, _INDEX, _INDEX, _INDEX)
    values = [kind.read(part) for kind, part in zip(kinds, parts, strict=True)]
    if not all(kind.holds(value) for kind, value in zip(kinds, values, strict=True)):
        raise ValueError
    return Reach(**dict(zip(_REACH, values, strict=True)))


def reaches_text(reaches: Sequence[Reach]) -> str:
    """Return one text for all: fields between colons, experts between semicolons."""
    return ";".join(":".join(repr(getattr(one, name)) for name in _REACH) for one in reaches)


_REACH = tuple(field.name for field in fields(Reach))
_FIELDS = {
    "idx": _INDEX,
    "label": _CLASS,
    "predict": _CLASS,
    "radius": _RADIUS,
    "correct": _Field(int, lambda value: value in (0, 1), "0 or 1"),
    "time": _TEXT,
    "candidate": _INDEX,
    "votes": _INDEX,
    "n0": _DRAWS,
    "n": _DRAWS,
    "alpha": _ALPHA,
    "sigma": _SIGMA,
    "p_lower": _Field(float, lambda value: 0.0 <= value < 1.0, "a number in [0, 1)"),
    "draws": _DRAWS,
    "spent": _DRAWS,
    "experts": _DRAWS,
    "lowest_level": _INDEX,
    "highest_level": _INDEX,
    "expert_level": _INDEX,
    "expert_radius": _RADIUS,
    "others": _Field(
        _reaches, lambda value: True, "level:sigma:radius:votes:draws:spent of experts, by ';'"
    ),
    "router_radius": _RADIUS,
    "router_votes": _INDEX,
    "router_draws": _INDEX,
    "router_spent": _INDEX,
    "router_sigma": _SIGMA,
    "alpha_mix": _Field(float, lambda value: 0.5 < value <= 1.0, "a number in (1/2, 1]"),
    "nominal_radius": _RADIUS,
    "order": _INDEX,
    "source": _INDEX,
    "input": _TEXT,
}


@dataclass(frozen=True)
class Content:
    """The complete rows of a log.

    Attributes:
        columns: the names in the header; empty when not even the header is complete.
        rows: the values of each row, in the order of the columns.
        end: the bytes that the complete rows take; what follows is an unfinished last row.
    """

    columns: tuple[str, ...]
    rows: list[list[Any]]
    end: int

    @property
    def nominal(self) -> bool:
        """Whether radius 0 is all that is certified, beside nominal radii."""
        return self.columns[: len(NOMINAL_COLUMNS)] == NOMINAL_COLUMNS and not self.remembered

    @property
    def remembered(self) -> bool:
        """Whether the answers depend on each other through a memory."""
        return "order" in self.columns


def line(values: Sequence[object]) -> bytes:
    """Return one line of a log. A float is written in full (repr), so that no radius grows."""
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def printable(name: str) -> str:
    """Return `name` on one line, with escapes for what cannot be printed or encoded."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def parse(path: Path, data: bytes) -> Content:
    """Return the rows of a log.

    A last row without its line break, or with too few columns, is unfinished and left out. As
    the time of an original log may be any text, a last row of it that lacks nothing but the line
    break is complete.

    Raises:
        DataError: the header is not that of a log, or a row is broken; names file and line.
    """
    *lines, tail = data.split(b"\n")
    if not lines:
        header = line(_HEADERS[-1])
        if not header.startswith(data):
            raise _broken(path, 1, f"the header {_shown(COLUMNS)}", data)
        return Content((), [], 0)
    columns = tuple(_split(path, 1, lines[0]))
    if columns not in _HEADERS:
        raise _broken(path, 1, f"the header {_shown(COLUMNS)}", _shown(columns))
    end = len(data) - len(tail)
    if columns == ORIGINAL_COLUMNS and tail.count(b"\t") == len(columns) - 1:
        lines, end = [*lines, tail], len(data)
    elif len(lines) > 1 and len(_split(path, len(lines), lines[-1])) < len(columns):
        end -= len(lines.pop()) + 1
    rows = [
        _read_row(path, number, columns, content)
        for number, content in enumerate(lines[1:], start=2)
    ]
    _check_unique(path, [row[0] for row in rows])
    return Content(columns, rows, end)


def _split(path: Path, number: int, content: bytes) -> list[str]:
    """Return the texts of one line's columns."""
    try:
        text = content.decode().removesuffix("\r")
        return next(csv.reader([text], delimiter="\t", strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise _broken(path, number, "tab-separated text in UTF-8", content) from error


def _read_row(path: Path, number: int, columns: tuple[str, ...], content: bytes) -> list[Any]:
    """Return the checked values of one line."""
    texts = _split(path, number, content)
    if len(texts) != len(columns):
        raise _broken(path, number, f"{len(columns)} columns", len(texts))
    values = [_value(path, number, name, text) for name, text in zip(columns, texts, strict=True)]
    _, label, predict, _, correct, *_ = values
    if correct != is_correct(label, predict):
        expected = f"correct={is_correct(label, predict):d} for {label=}, {predict=}"
        raise _broken(path, number, expected, correct)
    if columns != ORIGINAL_COLUMNS:
        _check_certificate(path, number, dict(zip(columns, values, strict=True)))
    return values


def _check_certificate(path: Path, number: int, row: dict[str, Any]) -> None:
    """Refuse a row that claims another certificate than its votes give."""
    for column, fault in (("others", experts_fault), ("nominal_radius", per_input_fault)):
        if column in row:
            if found := fault(row, tolerance=_ARITHMETIC):
                raise _broken(path, number, *found)
            return
    early = "draws" in row
    names = ("votes", "draws", "spent", "n") if early else ("votes", "n")
    counts = [row[name] for name in names]
    if counts != sorted(counts):
        raise _broken(path, number, " <= ".join(names), " ".join(map(str, counts)))
    label, right = (early_claim if early else fixed_claim)(row)
    of = "for " + ", ".join(f"{name}={row[name]}" for name in names if name != "spent")
    if row["predict"] != label:
        raise _broken(path, number, f"predict={label} {of}", row["predict"])
    for name, value in right.items():
        if not math.isclose(row[name], value, rel_tol=_ARITHMETIC):
            raise _broken(path, number, f"{name}={value!r} {of}", row[name])


def _value(path: Path, number: int, name: str, text: str) -> Any:  # noqa: ANN401
    """Return the checked value of one field."""
    field = _FIELDS[name]
    try:
        value = field.read(text)
    except ValueError:
        value = None
    if value is None or not field.holds(value):
        raise _broken(path, number, f"{name} to be {field.expected}", text)
    return value


def is_correct(label: int, predict: int) -> bool:
    """Return whether a prediction counts as right: an abstention never does."""
    return predict != ABSTAIN and predict == label


def _check_unique(path: Path, indices: list[int]) -> None:
    """Refuse a log that holds an input twice."""
    lines: dict[int, int] = {}
    for number, idx in enumerate(indices, start=2):
        if idx in lines:
            raise _broken(path, number, "each idx once", f"{idx} as in line {lines[idx]}")
        lines[idx] = number


def _broken(path: Path, number: int, expected: str, got: object) -> DataError:
    return DataError(f"{path}, line {number}: expected {expected}, got {got!r}; {_REMEDY}")


def _shown(columns: Sequence[str]) -> str:
    return " ".join(columns)

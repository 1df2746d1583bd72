"""The text of a certification log: from a row's values to its line, and back with every check.

A log may be anybody's, and what is cheap is looked at first: its size, how many rows it has, each
row's values, what its protocol says of them, how much work its tests are. Then the votes.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rszoo.certificates.base import ABSTAIN
from rszoo.certificates.columns import INPUT, Column
from rszoo.certificates.kind import Kind
from rszoo.certificates.kinds import kind, kind_of_columns, kinds
from rszoo.certificates.kinds.fixed import KIND as FIXED
from rszoo.certificates.protocol import Protocol
from rszoo.certificates.work import check_work
from rszoo.errors import DataError

__all__ = [
    "ATTACKED",
    "LONGEST_LINE",
    "MOST_ROWS",
    "Content",
    "header_kind",
    "is_correct",
    "line",
    "parse",
    "printable",
    "row_line",
]

# The header of the other logs of the original research code.
_PREDICT = ("idx", "label", "predict", "correct", "time")

#: The first columns of a log of attacks, see `rszoo.evaluation.attack_log`.
ATTACKED = ("idx", "label", "clean", "attacked", "distance", "time")

#: Rows of a log: the training set of ImageNet has 1,281,167 images.
MOST_ROWS = 2_000_000

#: Bytes of a line: far more than the longest path and a hundred experts take.
LONGEST_LINE = 1 << 16

_SHOWN = 200  # characters of what is wrong
_MARK = "\ufeff".encode()

_REMEDY = "restore the file, or certify again into a new one"


@dataclass(frozen=True)
class Content:
    """The complete rows of a log.

    Attributes:
        kind: of the certificates, by the header; None when not even the header is complete.
        named: whether the rows have names of inputs.
        rows: the values of each row, in the order of the columns.
        end: the bytes that the complete rows take; what follows is an unfinished last row.
    """

    kind: Kind | None
    named: bool
    rows: list[list[Any]]
    end: int

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns; none without a header."""
        if self.kind is None:
            return ()
        return (*self.kind.columns, INPUT) if self.named else self.kind.columns

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns; none without a header."""
        return tuple(column.name for column in self.columns)


def line(values: Sequence[object]) -> bytes:
    """Return one line of a log. A float is written in full (repr), so that no radius grows."""
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def row_line(columns: Sequence[Column], values: Sequence[Any]) -> bytes:
    """Return the line of a row, whose values are in the order of the columns."""
    return line([column.write(value) for column, value in zip(columns, values, strict=True)])


def printable(name: str) -> str:
    """Return `name` on one line, with escapes for what cannot be printed or encoded."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def header_kind(path: Path, data: bytes) -> Kind | None:
    """Return the kind of certificates of a log by its header; None where that is unfinished.

    Raises:
        DataError: the header is not that of a log.
    """
    return _header(path, data.removeprefix(_MARK).partition(b"\n")[:2])[0]


def parse(
    path: Path, data: bytes, *, protocol: Protocol | None, most_rows: int = MOST_ROWS
) -> Content:
    """Return the rows of a log, each checked by itself and by what its protocol says of it.

    Guarantee:
        - The radius of every row follows from its votes.
        - What rows and protocol both state is the same: the budget, the noise, the parts, the
          radii, the inputs. Votes cannot tell: more noise gives larger radii, as fewer parts do.

    A last row without its line break, or with too few columns, is unfinished and left out. As
    the time of an original log may be any text, a last row of it that lacks nothing but the line
    break is complete.

    A byte order mark in front, as editors of Windows write it, is passed over.

    Args:
        path: the file.
        data: its content.
        protocol: of the log; None where it has none, or is not of a kind that has one.
        most_rows: how many rows it may have.

    Raises:
        DataError: the header is not that of a log, there are too many rows, or one is broken, or
            all together would take too long to check; names the file, and the line.
    """
    if (count := data.count(b"\n") - 1) > most_rows:
        raise DataError(
            f"{path}: expected a log of at most {most_rows:,} rows, got {count:,}; certify fewer "
            "inputs into one log"
        )
    *lines, tail = data.removeprefix(_MARK).split(b"\n")
    kind, header = _header(path, (lines[0], b"\n") if lines else (tail, b""))
    if kind is None:
        return Content(None, False, [], 0)
    named, end = header[-1] == INPUT.name, len(data) - len(tail)
    if not kind.counted and tail.count(b"\t") == len(header) - 1:
        lines, end = [*lines, tail], len(data)
    elif len(lines) > 1 and len(_split(path, len(lines), lines[-1])) < len(header):
        end -= len(lines.pop()) + 1
    columns = Content(kind, named, [], 0).columns
    rows = [
        _read_row(path, number, columns, text) for number, text in enumerate(lines[1:], start=2)
    ]
    _check_unique(path, [row[0] for row in rows])
    content = Content(kind, named, rows, end)
    _check_stated(path, content, kind, protocol)
    _check_votes(path, content, kind)
    return content


def _header(path: Path, first: Sequence[bytes]) -> tuple[Kind | None, tuple[str, ...]]:
    """Return the kind and the columns by the first line of a log and its line break, if any."""
    text, end = first
    if not end:
        if not any(line((*one.names, INPUT.name)).startswith(text) for one in kinds()):
            raise _broken(path, 1, f"the header {_shown(FIXED.names)}", text[:_SHOWN])
        return None, ()
    header = tuple(_split(path, 1, text))
    if header == _PREDICT:
        raise DataError(
            f"{path}: expected certificates, got predictions: a log of PREDICT of the original "
            "research code (code/predict.py of Cohen et al., 2019) has labels and no radii, so "
            "that nothing in it is certified; read the log of its certify.py"
        )
    if header[: len(ATTACKED)] == ATTACKED:
        raise DataError(
            f"{path}: expected certificates, got a log of attacks (rszoo attack): that one attack "
            "found nothing bounds what others find, and certifies nothing; certify into a log of "
            "its own"
        )
    kind = kind_of_columns(header)
    if kind is None or (header[-1] == INPUT.name and not kind.counted):
        raise _broken(path, 1, f"the header {_shown(FIXED.names)}", _shown(header))
    return kind, header


def _split(path: Path, number: int, content: bytes) -> list[str]:
    """Return the texts of one line's columns."""
    if len(content) > LONGEST_LINE:
        raise _broken(path, number, f"at most {LONGEST_LINE} bytes", len(content))
    try:
        text = content.decode().removesuffix("\r")
        return next(csv.reader([text], delimiter="\t", strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise _broken(path, number, "tab-separated text in UTF-8", content) from error


def _read_row(path: Path, number: int, columns: Sequence[Column], content: bytes) -> list[Any]:
    """Return the values of one line, each checked by itself."""
    texts = _split(path, number, content)
    if len(texts) != len(columns):
        raise _broken(path, number, f"{len(columns)} columns", len(texts))
    values = [
        _value(path, number, column, text) for column, text in zip(columns, texts, strict=True)
    ]
    _, label, predict, _, correct, *_ = values
    if correct != is_correct(label, predict):
        expected = f"correct={is_correct(label, predict):d} for {label=}, {predict=}"
        raise _broken(path, number, expected, correct)
    return values


def _by_name(content: Content) -> Iterator[dict[str, Any]]:
    """Yield the rows by column."""
    names = content.names
    return (dict(zip(names, values, strict=True)) for values in content.rows)


def _value(path: Path, number: int, column: Column, text: str) -> Any:  # noqa: ANN401
    """Return the checked value of one field."""
    try:
        value = column.read(text)
    except ValueError:
        value = None
    if value is None or not column.holds(value):
        raise _broken(path, number, f"{column.name} to be {column.expected}", text)
    return value


def _check_stated(path: Path, content: Content, own: Kind, protocol: Protocol | None) -> None:
    """Refuse rows that say otherwise than the protocol of their log, where it says anything."""
    if protocol is None:
        return
    about = None if protocol.inputs is None else protocol.inputs.indices
    stated = kind(protocol.kind)
    if own is not stated:
        raise DataError(
            f"{path}: expected the columns {_shown(stated.names)} by its protocol, got "
            f"{_shown(content.names)}; restore both files, or certify again into a new one"
        )
    for number, row in enumerate(_by_name(content), start=2):
        if about is not None and row["idx"] not in about:
            raise _broken(path, number, "one of the inputs by its protocol", row["idx"])
        for name, (right, got) in stated.stated(row, protocol).items():
            if got != right:
                raise _broken(path, number, f"{name}={right!r} by its protocol", got)


def _check_votes(path: Path, content: Content, kind: Kind) -> None:
    """Refuse rows that claim what their votes do not give."""
    try:
        check_work(test for row in _by_name(content) for test in kind.tests(row))
    except ValueError as error:
        raise DataError(
            f"{path}: {error}; certify at fewer radii, or fewer inputs into one log"
        ) from error
    for number, row in enumerate(_by_name(content), start=2):
        try:
            fault = kind.fault(row)
        except ValueError as error:  # of the theory: counts that no certificate has
            raise _broken(path, number, "counts of a certificate", str(error)) from error
        if fault:
            raise _broken(path, number, *fault)


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
    text = repr(got)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return DataError(f"{path}, line {number}: expected {expected}, got {shown}; {_REMEDY}")


def _shown(columns: Sequence[str]) -> str:
    return " ".join(columns)

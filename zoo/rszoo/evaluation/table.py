"""Reading a certification log as columns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rszoo.certificates.base import ABSTAIN, Certificate
from rszoo.certificates.bound import bound_text
from rszoo.certificates.kind import Kind
from rszoo.certificates.kinds.original import KIND as ORIGINAL
from rszoo.certificates.protocol import Protocol
from rszoo.errors import DataError
from rszoo.evaluation.content import read_content
from rszoo.evaluation.data_set import check_named
from rszoo.evaluation.protocol import protocol_path, read_protocol
from rszoo.evaluation.rows import MOST_ROWS, Content, header_kind, parse

__all__ = ["LogTable", "read_log", "table_of"]

_LOG_OF_BUNDLE = "certificates.tsv"


@dataclass(frozen=True, eq=False, kw_only=True)
class LogTable:
    """A log as columns, one entry per row, in the order of the file.

    Attributes:
        name: the log in tables and legends: the file's name, or that of its bundle.
        path: the file.
        kind: of the certificates.
        protocol: of the JSON file beside the log; None without one.
        unfinished: the file ends in an unfinished row, which was left out.
        idx: index of the input in its data set.
        label: true class, or NO_LABEL.
        predict: certified class, or ABSTAIN.
        radius: certified L2 radius, pixel units; of a wrong prediction too.
        correct: predict is the true class, and not ABSTAIN.
        candidate, votes, n0, n, alpha, sigma, p_lower, draws, spent: see `Certificate`; None for
            the logs of the original research code, which do not hold them.
        details: the fields of `Certificate.details` by name; none where the kind has none.
        input: name of each input; None for data sets.
    """

    name: str
    path: Path
    kind: Kind
    protocol: Protocol | None
    unfinished: bool
    idx: NDArray[np.int64]
    label: NDArray[np.int64]
    predict: NDArray[np.int64]
    radius: NDArray[np.float64]
    correct: NDArray[np.bool_]
    details: dict[str, NDArray[Any]]
    candidate: NDArray[np.int64] | None = None
    votes: NDArray[np.int64] | None = None
    n0: NDArray[np.int64] | None = None
    n: NDArray[np.int64] | None = None
    alpha: NDArray[np.float64] | None = None
    sigma: NDArray[np.float64] | None = None
    p_lower: NDArray[np.float64] | None = None
    draws: NDArray[np.int64] | None = None
    spent: NDArray[np.int64] | None = None
    input: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.idx)

    @property
    def tested(self) -> tuple[float, ...] | None:
        """The only radii that could be certified; None where every radius could."""
        return None if self.protocol is None else self.protocol.radii

    @property
    def given(self) -> tuple[float, ...] | None:
        """The radii that alone were asked for; None where every radius is answered.

        A grid that is tested to save draws answers every radius, with what is given up for that.
        """
        return None if self.tolerance else self.tested

    def asked(self, radius: float) -> bool:
        """Return whether the log says anything of a radius: of no other than given ones."""
        return self.given is None or radius in self.given

    @property
    def bound(self) -> str:
        """What the certificates bound, in words; see `rszoo.certificates.bound`."""
        if self.protocol is None:
            return bound_text(self.kind.bound)
        return bound_text(self.kind.bound, self.protocol.n_max, self.protocol.top_k)

    @property
    def tolerance(self) -> float:
        """How much radius was given up to save draws."""
        return 0.0 if self.protocol is None else self.protocol.tolerance

    @property
    def parts_spent(self) -> list[Sequence[int]] | None:
        """The draws for estimation of each row, by its kind's `spent`; None without counts."""
        if self.spent is None:
            return None
        columns = {"spent": self.spent, **self.details}
        return [self.kind.spent(_entry(columns, row)) for row in range(len(self))]

    def as_shown(self) -> "LogTable":
        """Return the log with the radii to show: nominal ones where it certifies none.

        Of sets of classes it is the true class that is predicted where it is in the set.
        """
        if self.kind.certifies and not self.kind.of_sets:
            return self
        rows = [self.certificate(row) for row in range(len(self))]
        radius = np.array([self.kind.shown_radius(one) for one in rows])
        if not self.kind.certifies:
            return replace(self, name=f"{self.name} (nominal)", radius=radius)
        found = [self.kind.shown_classes(one) for one in rows]
        correct = [label in one for label, one in zip(self.label.tolist(), found, strict=True)]
        first = np.array([one[0] if one else ABSTAIN for one in found], dtype=np.int64)
        predict = np.where(correct, self.label, first)
        return replace(self, radius=radius, correct=np.array(correct), predict=predict)

    def certificate(self, row: int) -> Certificate:
        """Return the certificate of one row of a log that holds the counts."""
        columns = {field.name: getattr(self, field.name, None) for field in fields(Certificate)}
        columns |= {"label": self.predict, "details": None}
        given = {name: column for name, column in columns.items() if column is not None}
        details = self.kind.details and self.kind.details(**_entry(self.details, row))
        return Certificate(**_entry(given, row), details=details)


def read_log(
    path: str | Path, *, nominal: bool = False, sets: bool = False, most_rows: int = MOST_ROWS
) -> LogTable:
    """Read a log of rszoo or of the original research code (six columns).

    Args:
        path: the log; that of a bundle is read by `rszoo.hub.evidence.evidence_of`.
        nominal: whether it may be one of nominal radii, which are no certificates.
        sets: whether it may be one of sets of classes, which certify no class.
        most_rows: how many rows it may have.

    Raises:
        DataError: the file cannot be read, or has too many rows, or one is broken; names the file
            and the line. Or it is nominal or of sets, and that was not asked for; or a row is not
            of the log's protocol; or its inputs are called by the name of a data set that they are
            not of.
    """
    path = Path(path)
    data = read_content(path)
    known = header_kind(path, data)
    kind = known or ORIGINAL
    if not (kind.certifies or nominal):
        raise DataError(
            f"{path}: expected certificates, got nominal radii: the noise was searched for each "
            "input, and nothing makes that sound; rszoo report shows such logs by themselves, and "
            "rszoo certify --per-input-sigma memory or a dual model certifies"
        )
    if kind.of_sets and not sets:
        raise DataError(
            f"{path}: expected certificates of an answer, got those of sets of classes, of which "
            "none is certified to be the answer; rszoo report shows such logs by themselves, and "
            "rszoo certify without --top-k certifies answers"
        )
    beside = protocol_path(path)
    foreign = known is not None and not known.counted
    protocol = None if foreign or not beside.exists() else read_protocol(beside)
    if protocol is not None:
        check_named(path, protocol.inputs)
    return table_of(path, data, protocol, most_rows=most_rows)


def table_of(
    path: Path, data: bytes, protocol: Protocol | None, *, most_rows: int = MOST_ROWS
) -> LogTable:
    """Return the columns of a log's text, each row checked as `read_log` does.

    Args:
        path: what the log is called, in errors too.
        data: its text.
        protocol: of the log; None where it has none.
        most_rows: how many rows it may have.

    Raises:
        DataError: there are too many rows, or one is broken, or not of the protocol.
    """
    content = parse(path, data, protocol=protocol, most_rows=most_rows)
    return LogTable(
        name=_name(path),
        path=path,
        kind=content.kind or ORIGINAL,
        protocol=protocol,
        unfinished=content.end < len(data),
        **_arrays(content),
    )


def _arrays(content: Content) -> dict[str, Any]:
    """Return the columns of `LogTable` from the rows."""
    columns = content.columns or ORIGINAL.columns
    arrays: dict[str, Any] = {
        column.name: _array([row[i] for row in content.rows], column.dtype)
        for i, column in enumerate(columns)
    }
    del arrays["time"]
    if content.kind is not None and content.kind.counted:
        arrays = {"draws": arrays["n"], "spent": arrays["n"]} | arrays
    names = arrays.pop("input", None)
    known = {field.name for field in fields(LogTable)}
    details = {name: arrays.pop(name) for name in list(arrays) if name not in known}
    return {**arrays, "details": details, "input": None if names is None else tuple(names)}


def _array(values: list[Any], dtype: type) -> NDArray[Any]:
    """Return values as an array with one axis, even where they are tuples."""
    return np.fromiter(values, dtype=dtype, count=len(values))


def _entry(columns: dict[str, NDArray[Any]], row: int) -> dict[str, Any]:
    return {name: column.item(row) for name, column in columns.items()}


def _name(path: Path) -> str:
    if path.name == _LOG_OF_BUNDLE:
        folder = path.parent.resolve()
        if folder.parent.name == "snapshots":  # of a model in the hub client's cache
            return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
        return folder.name
    return path.stem if path.suffix == ".tsv" else path.name

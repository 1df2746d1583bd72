"""Certification logs: one tab-separated row per input, written as soon as it is certified.

The first six columns are those of the original research code (Cohen et al., 2019,
https://github.com/locuslab/smoothing); the others hold the counts, from which every radius is
recomputed when a log is read. `radius` and `p_lower` are stored in full, never rounded. Beside
the log lies its protocol, a JSON file that says what was certified, and how.

A row counts as written once its line break is in the file. A run that is killed therefore leaves
at most one unfinished row, the last, which reading leaves out and resuming cuts off.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from rszoo.certificates.base import Certificate
from rszoo.certificates.columns import INPUT, Column
from rszoo.certificates.kind import Kind
from rszoo.certificates.kinds import kind
from rszoo.certificates.protocol import Protocol
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.protocol import (
    check_replaceable,
    continued,
    protocol_path,
    read_protocol,
    write_protocol,
)
from rszoo.evaluation.row_file import RowFile
from rszoo.evaluation.rows import (
    MOST_ROWS,
    Content,
    header_kind,
    is_correct,
    line,
    parse,
    printable,
    row_line,
)
from rszoo.evaluation.table import LogTable, read_log

__all__ = [
    "NO_LABEL",
    "CertificationLog",
    "LogTable",
    "as_log",
    "printable",
    "protocol_path",
    "read_log",
    "read_protocol",
]

#: The label of an input whose class is not known: one of the user's own.
NO_LABEL = -1


class CertificationLog(RowFile):
    """A log open for appending, by this process alone; a context manager.

    Attributes:
        path: the file.
        done: the indices of the inputs in it.
    """

    def __init__(self, path: Path, *, kind: Kind) -> None:
        """Use `CertificationLog.open`."""
        super().__init__(path)
        self._kind = kind
        self.done: set[int] = set()
        self._columns: tuple[Column, ...] = ()

    @classmethod
    def open(
        cls,
        path: str | Path,
        protocol: Protocol,
        *,
        resume: bool,
        restart: bool = False,
    ) -> "CertificationLog":
        """Start a log, or continue one.

        Args:
            path: the file; its folder is made if need be.
            protocol: what is certified and how; stored beside the log. Its kind decides which
                columns there are.
            resume: continue the log that is there (and start one if there is none): complete
                rows are kept, an unfinished last row is cut off.
            restart: where there is a log to continue that was made under another protocol, begin
                it anew.

        Raises:
            RszooError: there is a log already and `resume` is False; the log there was made
                under another protocol and `restart` is False; another process is writing it; it
                cannot be written; or more inputs are to be certified than a log may have rows.
            DataError: what is there is not a log, or a row of it is broken.
        """
        path = Path(path)
        _check_count(path, protocol)
        check_replaceable(path, protocol)
        log = cls(path, kind=kind(protocol.kind))
        try:
            content = _parse_own(path, log.content(resume=resume))
            if restart and content.columns and _is_other(path, protocol, content):
                content = Content(None, False, [], 0)
            if content.columns:
                protocol = _continued(path, protocol, content)
                log.cut(content.end)
            else:
                # In this order: rows of before never stand beside a protocol that is not theirs.
                log.cut(0)
                write_protocol(path, protocol)
        except BaseException:
            log.close()
            raise
        log.done, log._columns = _listed(content), content.columns
        return log

    def append(
        self,
        idx: int,
        label: int,
        certificate: Certificate,
        seconds: float,
        input: str | None = None,
    ) -> None:
        """Write one row; when this returns, the row survives a kill of the process.

        Args:
            idx: index of the input, not in the log yet.
            label: true class, or NO_LABEL.
            certificate: what was certified.
            seconds: time spent on it.
            input: name of the input; given for all rows of a log or for none. Characters that
                cannot be printed are stored as escapes.

        Raises:
            ValueError: the index is in the log, or `input` is given for some rows only.
            RszooError: the row cannot be written.
        """
        columns = _columns(self._kind, input)
        if idx in self.done:
            raise ValueError(f"expected an index that is not in the log, got {idx=}")
        if self._columns not in ((), columns):
            expected = [column.name for column in self._columns]
            raise ValueError(f"expected rows with the columns {expected}, got {input=}")
        row = _row(columns, idx, label, certificate, seconds, input)
        header = b"" if self._columns else line([column.name for column in columns])
        self.write(header + row)
        self._columns = columns
        self.done.add(int(idx))


def as_log(kind: Kind, rows: Sequence[tuple[int, int, Certificate, float, str | None]]) -> bytes:
    """Return the text of a log; each row is what `CertificationLog.append` takes, in its order."""
    if not rows:
        return b""
    columns = _columns(kind, rows[0][-1])
    header = line([column.name for column in columns])
    return header + b"".join(_row(columns, *row) for row in rows)


def _columns(kind: Kind, input: str | None) -> tuple[Column, ...]:
    return kind.columns if input is None else (*kind.columns, INPUT)


def _row(
    columns: Sequence[Column],
    idx: int,
    label: int,
    certificate: Certificate,
    seconds: float,
    input: str | None,
) -> bytes:
    values = _values(idx, label, certificate, seconds, input)
    return row_line(columns, [values[column.name] for column in columns])


def _values(
    idx: int, label: int, certificate: Certificate, seconds: float, input: str | None
) -> dict[str, object]:
    """Return the values of a row by column."""
    return {
        **vars(certificate),
        **(vars(certificate.details) if certificate.details else {}),
        "idx": int(idx),
        "label": int(label),
        "predict": int(certificate.label),
        "correct": is_correct(label, certificate.label),
        "time": timedelta(seconds=seconds),
        "input": None if input is None else printable(input),
    }


def _check_count(path: Path, protocol: Protocol) -> None:
    """Refuse more inputs than a log may have rows, before any is certified."""
    about = None if protocol.inputs is None else protocol.inputs.indices
    if about is not None and len(about) > MOST_ROWS:
        raise RszooError(
            f"{path}: expected at most {MOST_ROWS:,} inputs of one log, got {len(about):,}; "
            "certify some of them (--skip, --limit), or parts of them into logs of their own"
        )


def _parse_own(path: Path, data: bytes) -> Content:
    """Return the rows of a log that is to go on, by the protocol beside it."""
    known = header_kind(path, data) if data else None
    stated = known is not None and known.counted and protocol_path(path).exists()
    return parse(path, data, protocol=read_protocol(protocol_path(path)) if stated else None)


def _listed(content: Content) -> set[int]:
    return {row[0] for row in content.rows}


def _continued(path: Path, wanted: Protocol, content: Content) -> Protocol:
    """Return the protocol of the log at `path`, which says from now on what it is about."""
    kept = continued(path, wanted, _listed(content))
    if read_protocol(protocol_path(path)) != kept:
        write_protocol(path, kept)
    return kept


def _is_other(path: Path, protocol: Protocol, content: Content) -> bool:
    """Return whether the log at `path` cannot go on under a protocol."""
    try:
        continued(path, protocol, _listed(content))
    except DataError:
        raise
    except RszooError:
        return True
    return False

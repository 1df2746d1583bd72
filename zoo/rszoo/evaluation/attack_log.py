"""Logs of attacks: a row per input, tab-separated, and a protocol beside them, as JSON.

They hold what one attack found, which is an upper bound of what a classifier withstands, and no
certificate: nothing that reads certificates takes them (`rszoo.evaluation.rows`). As with logs of
certificates, a row counts as written once its line break is in the file, and a log goes on under
the protocol that it began under, or to more inputs of the same data set.
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from rszoo._files import write_json_atomically
from rszoo._json import read_json_bytes
from rszoo.errors import DataError
from rszoo.evaluation.content import read_content
from rszoo.evaluation.protocol import (
    OF_ATTACKS,
    another_protocol,
    protocol_path,
)
from rszoo.evaluation.row_file import RowFile
from rszoo.evaluation.rows import ATTACKED, LONGEST_LINE, MOST_ROWS, line
from rszoo.smoothing.differing import differing_values

__all__ = ["NORMS", "AttackLog", "AttackRow", "read_attack_log"]

#: In which an attack measures distances.
NORMS = ("linf", "l2")

_INPUT = "input"
_MOST = 1 << 53
# Of a protocol, what may be another where a log goes on.
_FREE = ("machine",)


@dataclass(frozen=True, kw_only=True)
class AttackRow:
    """What an attack did to one input.

    Attributes:
        idx: of the input.
        label: true class, or -1 where it is not known.
        clean: the classifier's answer to the input, or -1 where it abstains.
        attacked: its answer to the attacked input; that to the input where it was not attacked,
            because the answer was wrong before.
        distance: of the attacked input, in the norm of the attack; 0 where it was not attacked.
        seconds: that it took.
        input: name, for an input of the user's own.
    """

    idx: int
    label: int
    clean: int
    attacked: int
    distance: float
    seconds: float
    input: str | None = None


class AttackLog(RowFile):
    """A log of attacks open for appending, by this process alone; a context manager.

    Attributes:
        rows: that are in it.
    """

    def __init__(self, path: Path, stated: Mapping[str, object], *, resume: bool) -> None:
        """Start a log, or continue one.

        Args:
            path: the file.
            stated: its protocol, as JSON values.
            resume: continue the log that is there, and start one where there is none.

        Raises:
            RszooError: there is a log and `resume` is False, it was made under another protocol,
                another process writes it, or it cannot be written.
            DataError: what is there is no log of attacks.
        """
        super().__init__(path)
        try:
            self.rows = self._begun(json.loads(json.dumps(stated)), resume=resume)
        except BaseException:
            self.close()
            raise

    def _begun(self, stated: dict[str, object], *, resume: bool) -> list[AttackRow]:
        data = self.content(resume=resume)
        rows, end = _parsed(self.path, data)
        beside = protocol_path(self.path)
        before = _protocol(beside) if data or beside.exists() else None
        if before is not None:
            continued = _continued(self.path, before, stated)
            if data:
                stated = continued
                if stated != before:
                    rows, end = _whole_batches(data, rows, before)
        self.cut(end)  # first: nothing under the new protocol is from a batch of the old one alone
        if stated != before:
            write_json_atomically(beside, stated)
        return rows

    def append(self, rows: Sequence[AttackRow]) -> None:
        """Write rows; when this returns they survive a kill of the process.

        Raises:
            RszooError: they cannot be written.
        """
        text = b"".join(_line(row) for row in rows)
        if not self.rows:
            named = rows[0].input is not None
            text = line((*ATTACKED, *([_INPUT] if named else []))) + text
        self.write(text)
        self.rows += rows


def read_attack_log(
    path: Path, *, most_rows: int = MOST_ROWS
) -> tuple[list[AttackRow], dict[str, object]]:
    """Return the rows of a log of attacks, and its protocol.

    Raises:
        DataError: it is none, or broken, or has more rows than it may.
    """
    stated = _protocol(protocol_path(path))
    return _parsed(path, read_content(path), most_rows)[0], stated


def _line(row: AttackRow) -> bytes:
    values = astuple(row)
    return line(values[:-1] if row.input is None else values)


def _parsed(path: Path, data: bytes, most_rows: int = MOST_ROWS) -> tuple[list[AttackRow], int]:
    """Return the complete rows, and the bytes that they take with their header; 0 without any."""
    *lines, tail = data.split(b"\n")
    if not lines:
        return [], 0
    if len(lines) - 1 > most_rows:
        raise DataError(f"{path}: expected a log of at most {most_rows:,} rows, got more")
    header = tuple(_split(path, 1, lines[0]))
    if header not in (ATTACKED, (*ATTACKED, _INPUT)):
        raise DataError(
            f"{path}: expected a log of attacks, which begins with {' '.join(ATTACKED)}, got "
            f"{' '.join(header)[:200]!r}; name another file with --out"
        )
    rows = [_row(path, number, text, header) for number, text in enumerate(lines[1:], start=2)]
    if len({row.idx for row in rows}) < len(rows):
        raise DataError(f"{path}: expected each input once, got one twice; attack anew")
    return rows, len(data) - len(tail) if rows else 0


def _split(path: Path, number: int, content: bytes) -> list[str]:
    try:
        if len(content) > LONGEST_LINE:
            raise ValueError("too long")
        text = content.decode()
        return next(csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True), [])
    except (ValueError, csv.Error) as error:
        raise DataError(
            f"{path}, line {number}: expected tab-separated text of at most {LONGEST_LINE} bytes, "
            f"got {content[:200]!r}"
        ) from error


def _row(path: Path, number: int, content: bytes, header: Sequence[str]) -> AttackRow:
    texts = _split(path, number, content)
    try:
        if len(texts) != len(header):
            raise ValueError
        idx, label, clean, attacked = (_index(text) for text in texts[:4])
        distance, seconds = (_size(text) for text in texts[4:6])
        if idx < 0:
            raise ValueError
    except ValueError:
        raise DataError(
            f"{path}, line {number}: expected {' '.join(header)}, got {content[:200]!r}; restore "
            "the file, or attack again into a new one"
        ) from None
    return AttackRow(
        idx=idx,
        label=label,
        clean=clean,
        attacked=attacked,
        distance=distance,
        seconds=seconds,
        input=texts[6] if len(header) > len(ATTACKED) else None,
    )


def _index(text: str) -> int:
    """Return an integer from -1 on."""
    value = int(text)
    if not -1 <= value < _MOST:
        raise ValueError
    return value


def _size(text: str) -> float:
    """Return a finite number from 0 on."""
    value = float(text)
    if not 0.0 <= value < math.inf:
        raise ValueError
    return value


def _protocol(path: Path) -> dict[str, object]:
    expected = f"{path}: expected the protocol of a log of attacks"
    try:
        values = json.loads(read_json_bytes(path, error=DataError))
    except OSError as error:
        raise DataError(f"{expected}; {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{expected}; {error}") from error
    if not isinstance(values, dict) or values.get("kind") != OF_ATTACKS:
        raise DataError(f"{expected}, got another file; name another log with --out")
    return values


def _continued(
    path: Path, before: dict[str, object], stated: Mapping[str, object]
) -> dict[str, object]:
    """Return the protocol under which a log goes on: its own, or that of more inputs.

    Raises:
        RszooError: it was made under another one, or of inputs that are not the first ones wanted.
    """
    mine, its = (
        {key: value for key, value in values.items() if key not in _FREE}
        for values in (before, stated)
    )
    found = differing_values(mine, its)
    if [key for key, *_ in found] == ["inputs.count"]:
        old, new = _count(before), _count(stated)
        if old is not None and new is not None and old < new:
            return {**before, "inputs": stated["inputs"]}
    if found:
        raise another_protocol(path, mine, its, [key for key, *_ in found])
    return before


def _count(stated: Mapping[str, object]) -> int | None:
    """Return how many inputs a protocol states, if it does."""
    inputs = stated.get("inputs")
    count = inputs.get("count") if isinstance(inputs, dict) else None
    return count if isinstance(count, int) else None


def _whole_batches(
    data: bytes, rows: Sequence[AttackRow], stated: Mapping[str, Any]
) -> tuple[list[AttackRow], int]:
    """Return the rows of whole batches, and the bytes that they take with their header.

    What is drawn for a batch depends on all of its inputs: the last one, where it was smaller,
    is attacked again together with those that follow.
    """
    count = stated["inputs"]["count"]
    end = (count - count % stated["batch_size"]) * stated["inputs"]["step"]
    kept = list(takewhile(lambda row: row.idx < end, rows))
    lines = data.split(b"\n")[: len(kept) + 1] if kept else []
    return kept, sum(len(one) + 1 for one in lines)

"""Reading a certification log as columns."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rszoo.errors import DataError
from rszoo.evaluation._per_input import MEMORY_FIELDS
from rszoo.evaluation._protocol import protocol_path, read_protocol
from rszoo.evaluation._rows import ORIGINAL_COLUMNS, Content, parse
from rszoo.evaluation._stated import check_stated
from rszoo.smoothing.certificate import Certificate, Experts, PerInput, Routing

__all__ = ["LogTable", "read_log"]

_LOG_OF_BUNDLE = "certificates.tsv"


@dataclass(frozen=True, eq=False, kw_only=True)
class LogTable:
    """A log as columns, one entry per row, in the order of the file.

    Attributes:
        name: the log in tables and legends: the file's name, or that of its bundle.
        path: the file.
        protocol: the content of the JSON file beside the log; None without one.
        unfinished: the file ends in an unfinished row, which was left out.
        idx: index of the input in its data set.
        label: true class, or NO_LABEL.
        predict: certified class, or ABSTAIN.
        radius: certified L2 radius, pixel units; of a wrong prediction too.
        correct: predict is the true class, and not ABSTAIN.
        candidate, votes, n0, n, alpha, sigma, p_lower, draws, spent: see `Certificate`; None for
            the logs of the original research code, which do not hold them.
        routing: the fields of `Experts`, or of `Routing`, by name; None for logs of one network.
        alpha_mix: see `Certificate`; None for logs of anything but mixed classifiers.
        per_input: the fields of `PerInput` that there are, by name; None where every input had the
            same noise.
        input: name of each input; None for data sets.
    """

    name: str
    path: Path
    protocol: dict[str, Any] | None
    unfinished: bool
    idx: NDArray[np.int64]
    label: NDArray[np.int64]
    predict: NDArray[np.int64]
    radius: NDArray[np.float64]
    correct: NDArray[np.bool_]
    candidate: NDArray[np.int64] | None = None
    votes: NDArray[np.int64] | None = None
    n0: NDArray[np.int64] | None = None
    n: NDArray[np.int64] | None = None
    alpha: NDArray[np.float64] | None = None
    sigma: NDArray[np.float64] | None = None
    p_lower: NDArray[np.float64] | None = None
    draws: NDArray[np.int64] | None = None
    spent: NDArray[np.int64] | None = None
    routing: dict[str, NDArray[Any]] | None = None
    alpha_mix: NDArray[np.float64] | None = None
    per_input: dict[str, NDArray[Any]] | None = None
    input: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.idx)

    @property
    def tested(self) -> tuple[float, ...] | None:
        """The only radii that could be certified; None where every radius could."""
        radii = (self.protocol or {}).get("radii")
        return None if radii is None else tuple(radii)

    @property
    def tolerance(self) -> float:
        """How much radius was given up to save draws."""
        return (self.protocol or {}).get("tolerance", 0.0)

    @property
    def nominal(self) -> bool:
        """Whether radius 0 is all that is certified, beside nominal radii."""
        return self.per_input is not None and "order" not in self.per_input

    def as_nominal(self) -> "LogTable":
        """Return a nominal log with its nominal radii, and a name that says so."""
        assert self.per_input is not None
        radius = self.per_input["nominal_radius"]
        return replace(self, name=f"{self.name} (nominal)", radius=radius)

    def certificate(self, row: int) -> Certificate:
        """Return the certificate of one row of a log that holds the counts."""
        columns = {field.name: getattr(self, field.name, None) for field in fields(Certificate)}
        columns |= {"label": self.predict, "routing": None, "per_input": None}
        given = {name: column for name, column in columns.items() if column is not None}
        routing = None if self.routing is None else _routing(_entry(self.routing, row))
        per_input = None if self.per_input is None else PerInput(**_entry(self.per_input, row))
        return Certificate(**_entry(given, row), routing=routing, per_input=per_input)


def read_log(path: str | Path, *, nominal: bool = False) -> LogTable:
    """Read a log of rszoo or of the original research code (six columns).

    Args:
        path: the log; of a bundle's, `Bundle.evidence` gives the checked file.
        nominal: whether it may be one of nominal radii, which are no certificates.

    Raises:
        DataError: the file cannot be read, or a row is broken; names the file and the line. Or it
            is nominal, and that was not asked for; or a row is not of the log's protocol.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the log {str(path)!r}: {error.strerror}") from error
    content = parse(path, data)
    if content.nominal and not nominal:
        raise DataError(
            f"{path}: expected certificates, got nominal radii: the noise was searched for each "
            "input, and nothing makes that sound; rszoo report shows such logs by themselves, and "
            "rszoo certify --per-input-sigma memory or a dual model certifies"
        )
    beside = protocol_path(path)
    foreign = content.columns == ORIGINAL_COLUMNS or not beside.exists()
    protocol = None if foreign else read_protocol(beside)
    if protocol is not None:
        check_stated(path, content, protocol)
    return LogTable(
        name=_name(path),
        path=path,
        protocol=protocol,
        unfinished=content.end < len(data),
        **_arrays(content),
    )


def _arrays(content: Content) -> dict[str, Any]:
    """Return the columns of `LogTable` from the rows."""
    columns = content.columns or ORIGINAL_COLUMNS
    values = {name: [row[i] for row in content.rows] for i, name in enumerate(columns)}
    del values["time"]
    names = values.pop("input", None)
    reals = {name for name in values if _is_real(name)}
    arrays: dict[str, Any] = {
        name: np.array(column, dtype=np.float64 if name in reals else np.int64)
        for name, column in values.items()
        if name != "others"
    }
    arrays["correct"] = arrays["correct"].astype(bool)
    if "n" in arrays:
        arrays = {"draws": arrays["n"], "spent": arrays["n"]} | arrays
    if "nominal_radius" in arrays:
        found = [name for name in MEMORY_FIELDS if name in arrays]
        arrays["per_input"] = {name: arrays.pop(name) for name in found}
    if "others" in values:
        arrays["others"] = np.fromiter(values["others"], dtype=object)
        found = [field.name for field in fields(Routing) if field.name in arrays]
        arrays["routing"] = {name: arrays.pop(name) for name in found}
    return {**arrays, "input": None if names is None else tuple(names)}


def _routing(values: dict[str, Any]) -> Experts:
    return Routing(**values) if "router_radius" in values else Experts(**values)


def _entry(columns: dict[str, NDArray[Any]], row: int) -> dict[str, Any]:
    return {name: column.item(row) for name, column in columns.items()}


def _is_real(column: str) -> bool:
    return column.rpartition("_")[2] in ("radius", "alpha", "sigma", "lower", "mix")


def _name(path: Path) -> str:
    if path.name == _LOG_OF_BUNDLE:
        folder = path.parent.resolve()
        if folder.parent.name == "snapshots":  # of a model in the hub client's cache
            return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
        return folder.name
    return path.stem if path.suffix == ".tsv" else path.name

"""A digest of what a log is read to that does not depend on how `LogTable` is laid out."""

import hashlib
import json
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rszoo.evaluation.log import LogTable

__all__ = ["columns_of_table", "table_digest"]


def columns_of_table(log: "LogTable") -> dict[str, NDArray[Any]]:
    """Return the columns of a log by name, those that stand in dictionaries too."""
    found: dict[str, Any] = {}
    for name, value in vars(log).items():
        found |= value if isinstance(value, dict) and name != "protocol" else {name: value}
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


def table_digest(log: "LogTable") -> str:
    """Return the sha256 of names, types and bytes of the columns, and of inputs and protocol."""
    digest = hashlib.sha256()
    for name, column in sorted(columns_of_table(log).items()):
        digest.update(f"{name} {column.dtype.str} ".encode() + _bytes(column))
    protocol = log.protocol and json.loads(log.path.with_suffix(".json").read_text())
    digest.update(json.dumps([log.input, protocol, log.unfinished], sort_keys=True).encode())
    return digest.hexdigest()


def _bytes(column: NDArray[Any]) -> bytes:
    if column.dtype == object:  # of each row, what several experts say
        return json.dumps([[astuple(one) for one in entry] for entry in column]).encode()
    return column.tobytes()

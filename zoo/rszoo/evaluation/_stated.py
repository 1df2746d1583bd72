"""Are the columns, sigma, budget and parts of rows those of the log's protocol?

Votes cannot tell: more noise gives larger radii, and so do fewer parts.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rszoo.errors import DataError
from rszoo.evaluation._protocol import protocol_path
from rszoo.evaluation._rows import (
    CASCADE_COLUMNS,
    COLUMNS,
    DUAL_COLUMNS,
    EARLY_COLUMNS,
    MEMORY_COLUMNS,
    MIXED_COLUMNS,
    NOMINAL_COLUMNS,
    ORIGINAL_COLUMNS,
    Content,
)
from rszoo.smoothing.certificate import applied_sigma

__all__ = ["check_stated", "columns_of"]


def check_stated(path: Path, content: Content, protocol: Mapping[str, Any]) -> None:
    """Refuse rows that say otherwise than the protocol, where it says anything.

    Raises:
        DataError: names the file and the line; or the protocol holds something else than it may.
    """
    if content.columns in ((), ORIGINAL_COLUMNS):
        return
    columns = columns_of(protocol)
    if content.columns not in (columns, (*columns, "input")) or not _is_whole(protocol, columns):
        raise DataError(
            f"{path}: expected the columns {' '.join(columns)} and a noise level by its protocol, "
            f"got {' '.join(content.columns)}; restore both files, or certify again into a new one"
        )
    for number, values in enumerate(content.rows, start=2):
        row = dict(zip(content.columns, values, strict=True))
        try:
            stated = _stated(row, protocol)
        except (TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
            raise DataError(
                f"{protocol_path(path)}: expected the parts of line {number} of {path}, got none: "
                f"{type(error).__name__} {error}"
            ) from error
        for name, (right, got) in stated.items():
            if got != right:
                raise DataError(
                    f"{path}, line {number}: expected {name}={right!r} by its protocol, got "
                    f"{got!r}; restore the file, or certify again into a new one"
                )


def columns_of(protocol: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns of a log with a protocol, but for `input`."""
    if "router" in protocol:
        return DUAL_COLUMNS
    if "experts" in protocol:
        return CASCADE_COLUMNS
    if "alpha_mix" in protocol:
        return MIXED_COLUMNS
    if "per_input_sigma" in protocol:
        return MEMORY_COLUMNS if protocol["per_input_sigma"] == "memory" else NOMINAL_COLUMNS
    return EARLY_COLUMNS if "radii" in protocol else COLUMNS


def _is_whole(protocol: Mapping[str, Any], columns: tuple[str, ...]) -> bool:
    """Return whether a protocol states no noise level, or radii, only where that may be."""
    several = "experts" in protocol or "router" in protocol or "per_input_sigma" in protocol
    stated = several or protocol.get("sigma", 0) is not None
    return stated and ("radii" not in protocol or columns == EARLY_COLUMNS)


def _stated(row: Mapping[str, Any], protocol: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what the protocol says, and what the row does, by name."""
    stated = {
        name: (protocol[name], row[name])
        for name in ("n0", "n", "alpha", "alpha_mix")
        if name in protocol and name in row
    }
    if "nominal_radius" in row:  # the noise was searched for each input
        return stated
    if "experts" in row and "experts" in protocol:
        experts = protocol["experts"]
        stated["experts"] = (len(experts), row["experts"])
        stated["sigma"] = (_sigma(experts[row["expert_level"]]), row["sigma"])
        if "router_sigma" in row:
            stated["router_sigma"] = (_sigma(protocol["router"]), row["router_sigma"])
        for other in row["others"]:
            stated[f"sigma of expert {other.level}"] = (_sigma(experts[other.level]), other.sigma)
    elif protocol.get("sigma") is not None:
        stated["sigma"] = (_sigma(protocol), row["sigma"])
    return stated


def _sigma(part: Mapping[str, Any]) -> float:
    return applied_sigma(float(part["sigma"]))

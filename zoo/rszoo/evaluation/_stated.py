"""Are a row's sigma, budget and parts those of the log's protocol? Its votes cannot tell."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rszoo.errors import DataError
from rszoo.evaluation._protocol import protocol_path
from rszoo.evaluation._rows import ORIGINAL_COLUMNS, Content
from rszoo.smoothing.certificate import applied_sigma

__all__ = ["check_stated"]


def check_stated(path: Path, content: Content, protocol: Mapping[str, Any]) -> None:
    """Refuse rows that say otherwise than the protocol, where it says anything.

    Raises:
        DataError: names the file and the line; or the protocol holds something else than it may.
    """
    if content.columns == ORIGINAL_COLUMNS:
        return
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

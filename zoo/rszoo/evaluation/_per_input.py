"""Rows of logs where the noise was searched for each input: what they may claim."""

import math
from dataclasses import fields
from typing import Any

from rszoo.smoothing.certificate import ABSTAIN, PerInput, certificate_from_votes

__all__ = ["MEMORY_FIELDS", "NOMINAL_FIELDS", "per_input_fault"]

#: What a memory adds to a row, and what is left without one.
MEMORY_FIELDS = tuple(field.name for field in fields(PerInput))
NOMINAL_FIELDS = ("nominal_radius",)


def per_input_fault(row: dict[str, Any], *, tolerance: float) -> tuple[str, object] | None:
    """Return what is expected of a row and what it says instead; None where it may be true.

    Its votes give the nominal radius. What is certified is 0 without a memory; with one, how much
    less than the nominal radius follows from the inputs of other rows, which are not in the log.
    """
    if row["votes"] > row["n"]:
        return "votes <= n", f"{row['votes']} {row['n']}"
    counts = {name: row[name] for name in ("n0", "n", "alpha", "sigma")}
    given = certificate_from_votes(row["candidate"], row["votes"], **counts)
    for name, value in (("p_lower", given.p_lower), ("nominal_radius", given.radius)):
        if not math.isclose(row[name], value, rel_tol=tolerance):
            return f"{name}={value!r} for the row's votes", row[name]
    remembered = "order" in row
    if row["predict"] != given.label and not (remembered and row["predict"] == ABSTAIN):
        return f"predict={given.label} for the row's votes", row["predict"]
    most = row["nominal_radius"] if remembered and row["predict"] != ABSTAIN else 0.0
    if row["radius"] > most:
        return f"radius <= {most!r}", row["radius"]
    if remembered and row["source"] > row["order"]:
        return f"source <= {row['order']}", row["source"]
    return None

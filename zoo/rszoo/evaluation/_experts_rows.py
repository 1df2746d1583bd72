"""Do the votes of a row, of experts and perhaps a router, give the certificate that it claims?"""

import math
from typing import Any

from rszoo.smoothing.certificate import ABSTAIN, certificate_from_votes
from rszoo.theory.radii import needed_probability
from rszoo.theory.sequential import boundary

__all__ = ["experts_fault"]


def experts_fault(row: dict[str, Any], *, tolerance: float) -> tuple[str, object] | None:
    """Return what was expected and what came instead, or None if all is right.

    That the votes decide the smaller radii too is, as for `early_claim`, not in the row.

    Args:
        row: of a cascade or a dual classifier, by column.
        tolerance: relative, of radii and bounds.
    """
    if row["votes"] > row["n"]:
        return "votes <= n", f"{row['votes']} {row['n']}"
    parts = [(one.votes, one.draws, one.spent) for one in row["others"]]
    if _has_router(row):
        parts.insert(0, (row["router_votes"], row["router_draws"], row["router_spent"]))
    for counts in parts:
        if [*counts, row["n"]] != sorted([*counts, row["n"]]):
            return "votes <= draws <= spent <= n", " ".join(map(str, [*counts, row["n"]]))
    lowest, highest = _levels(row)
    if not lowest <= row["expert_level"] <= highest < row["experts"]:
        return "levels from the lowest to the highest", row["expert_level"]
    counts = {name: row[name] for name in ("n0", "n", "alpha", "sigma")}
    expert = certificate_from_votes(row["candidate"], row["votes"], **counts)
    reached = expert.label != ABSTAIN and _others_decided(row) and _router_decided(row)
    right = {
        "p_lower": expert.p_lower,
        "expert_radius": expert.radius,
        "radius": min(_radii(row)) if reached else 0.0,
        "predict": expert.label if reached else ABSTAIN,
    }
    for name, value in right.items():
        if not math.isclose(row[name], value, rel_tol=tolerance):
            return f"{name}={value!r} for the row's votes", row[name]
    return None


def _radii(row: dict[str, Any]) -> list[float]:
    """Return the radii of all parts that a certificate rests on."""
    radii = [row["expert_radius"], *(one.radius for one in row["others"])]
    return radii if _needs_no_router(row) else [*radii, row["router_radius"]]


def _has_router(row: dict[str, Any]) -> bool:
    return "router_radius" in row


def _levels(row: dict[str, Any]) -> tuple[int, int]:
    """Return the lowest and the highest level of the experts that a certificate rests on."""
    if _has_router(row):
        return row["lowest_level"], row["highest_level"]
    return row["expert_level"], row["experts"] - 1


def _needs_no_router(row: dict[str, Any]) -> bool:
    lowest, highest = _levels(row)
    return not _has_router(row) or highest - lowest + 1 == row["experts"]


def _others_decided(row: dict[str, Any]) -> bool:
    """Return whether all experts between the levels are there, and decide for their radii."""
    levels = sorted([row["expert_level"], *(one.level for one in row["others"])])
    lowest, highest = _levels(row)
    between = list(range(lowest, highest + 1))
    return levels == between and all(_decided(row, **vars(one)) for one in row["others"])


def _router_decided(row: dict[str, Any]) -> bool:
    if _needs_no_router(row):
        return True
    names = ("radius", "votes", "draws", "sigma")
    return _decided(row, **{name: row[f"router_{name}"] for name in names})


def _decided(
    row: dict[str, Any], *, radius: float, votes: int, draws: int, sigma: float, **_: int
) -> bool:
    """Return whether the votes of a sequential test decide for a radius."""
    needed = needed_probability(radius, sigma)
    if not needed < 1.0:
        return False
    test = boundary(needed, row["n"], row["alpha"])
    return bool(((test.looks == draws) & (votes >= test.above)).any())

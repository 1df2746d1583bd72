"""What the votes of a row give, for certificates under one noise level."""

from typing import Any

from rszoo.smoothing.certificate import ABSTAIN, certificate_from_votes, mixed_certificate
from rszoo.theory.radii import needed_probability
from rszoo.theory.sequential import boundary

__all__ = ["early_claim", "fixed_claim"]


def fixed_claim(row: dict[str, Any]) -> tuple[int, dict[str, float]]:
    """Return label, bound and radius that all n draws give."""
    counts = {name: row[name] for name in ("n0", "n", "alpha", "sigma")}
    given = certificate_from_votes(row["candidate"], row["votes"], **counts)
    if "alpha_mix" in row:
        given = mixed_certificate(given, alpha_mix=row["alpha_mix"])
    return given.label, {"p_lower": given.p_lower, "radius": given.radius}


def early_claim(row: dict[str, Any]) -> tuple[int, dict[str, float]]:
    """Return the label that the votes give at the row's radius, and the bound at that radius.

    That they decide the smaller radii too follows from nothing in the row: it is for those who
    know the radii (see `rszoo.smoothing.decisions`).
    """
    needed = needed_probability(row["radius"], row["sigma"])
    if row["predict"] == ABSTAIN or not needed < 1.0:
        return ABSTAIN, {"p_lower": 0.0, "radius": 0.0}
    test = boundary(needed, row["n"], row["alpha"])
    decided = (test.looks == row["draws"]) & (row["votes"] >= test.above)
    return row["candidate"] if decided.any() else ABSTAIN, {"p_lower": needed}

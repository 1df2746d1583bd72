"""Certificates of a mix at given radii, decided as soon as the draws of its smoothed part allow.

The mix answers a class everywhere closer than r if its smoothed part is certified at r + L, where
L is what the weight loses of every radius (`rszoo.theory.mixing.lost_radius`), fixed before any
draw. So the tests are those of `early`, of radii that are larger by L, and the proof is theirs.
"""

from rszoo.certificates.base import ABSTAIN
from rszoo.certificates.claims import OneSigmaAtRadii, decided, radii_stated
from rszoo.certificates.columns import COUNTED, draws
from rszoo.certificates.kind import Fault, Kind, Row, Stated, differing, disordered
from rszoo.certificates.kinds import early
from rszoo.certificates.kinds.mixed import ALPHA_MIX, Mixing
from rszoo.certificates.work import Test
from rszoo.theory.mixing import lost_radius
from rszoo.theory.radii import needed_probability

__all__ = ["KIND"]


class _MixedAtRadii(OneSigmaAtRadii):
    """The protocol of certificates of a mix at given radii only.

    Attributes:
        alpha_mix: the least weight of the smoothed part.
    """

    alpha_mix: float


def _robust_radius(row: Row) -> float:
    """Return where the smoothed part has to be certified for the radius of a row."""
    return row["radius"] + lost_radius(row["sigma"], row["alpha_mix"])


def _fault(row: Row) -> Fault | None:
    """Return what is wrong with a row, given its votes at the radius that it claims."""
    names = ("votes", "draws", "spent", "n")
    if fault := disordered(names, [row[name] for name in names]):
        return fault
    given = ", ".join(f"{name}={row[name]}" for name in ("votes", "draws", "n"))
    return differing(row, _claim(row), given=f"for {given}")


def _claim(row: Row) -> dict[str, float]:
    needed = needed_probability(_robust_radius(row), row["sigma"])
    if row["predict"] == ABSTAIN or not needed < 1.0:
        return {"predict": ABSTAIN, "p_lower": 0.0, "radius": 0.0}
    test = {name: row[name] for name in ("sigma", "votes", "draws")}
    label = row["candidate"] if decided(row, radius=_robust_radius(row), **test) else ABSTAIN
    return {"predict": label, "p_lower": needed}


def _stated(row: Row, protocol: _MixedAtRadii) -> Stated:
    return {**radii_stated(row, protocol), "alpha_mix": (protocol.alpha_mix, row["alpha_mix"])}


def _tests(row: Row) -> tuple[Test, ...]:
    return (Test(_robust_radius(row), row["sigma"], row["n"], row["alpha"]),)


KIND = Kind(
    name="mixed_early",
    marked="mixed",
    columns=(*COUNTED, ALPHA_MIX, draws("draws"), draws("spent")),
    protocol=_MixedAtRadii,
    details=Mixing,
    fault=_fault,
    stated=_stated,
    voters=early.KIND.voters,
    tests=_tests,
)

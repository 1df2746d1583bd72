"""Certification logs that are changed afterwards, as by a forger."""

import json
from collections.abc import Callable
from pathlib import Path

from rszoo.certificates.base import certificate_from_votes
from rszoo.evaluation.log import protocol_path

__all__ = ["edited", "stated", "votes"]


def edited(log: Path, change: Callable[[dict[str, str]], object], *, row: int = 2) -> None:
    """Change a row as a forger does, who makes what follows from the votes follow from them."""
    header, *lines = log.read_text().splitlines()
    values = dict(zip(header.split("\t"), lines[row].split("\t"), strict=True))
    change(values)
    given = certificate_from_votes(
        int(values["candidate"]),
        int(values["votes"]),
        n0=int(values["n0"]),
        n=int(values["n"]),
        alpha=float(values["alpha"]),
        sigma=float(values["sigma"]),
    )
    values |= {
        "predict": str(given.label),
        "radius": repr(given.radius),
        "p_lower": repr(given.p_lower),
        "correct": str(int(given.label == int(values["label"]))),
    }
    lines[row] = "\t".join(values.values())
    log.write_text("\n".join([header, *lines]) + "\n")


def stated(log: Path, **changes: object) -> None:
    path = protocol_path(log)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def votes(by: int) -> Callable[[dict[str, str]], object]:
    def change(row: dict[str, str]) -> None:
        row["votes"] = str(int(row["votes"]) + by)

    return change

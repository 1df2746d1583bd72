"""What a mix would certify: the radius of rszoo against the published one.

    python bench/mixed_radii.py LOG... [--json]

LOG is that of a smoothed classifier, or of a mix. Of each row the bound `p_lower` is taken; the
certificate of a mix depends on it and on alpha_mix alone, not on the standard network.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rszoo.errors import DataError
from rszoo.evaluation.log import LogTable, read_log
from rszoo.theory.mixing import mixed_radius, published_mixed_radius

WEIGHTS = (0.6, 0.67, 0.76, 0.84, 0.9, 1.0)


def acr(log: LogTable, radius: Callable[[float, float, float], float], alpha_mix: float) -> float:
    """Return the average certified radius; rows of a wrong class count as 0."""
    if log.p_lower is None or log.sigma is None or log.candidate is None:
        raise DataError(f"{log.path}: expected a log with counts, got one without")
    radii = [
        radius(p, sigma, alpha_mix) if candidate == label else 0.0
        for p, sigma, candidate, label in zip(
            log.p_lower.tolist(),
            log.sigma.tolist(),
            log.candidate.tolist(),
            log.label.tolist(),
            strict=True,
        )
    ]
    return sum(radii) / len(radii)


def measure(path: Path) -> list[dict[str, object]]:
    log = read_log(path)
    return [
        {
            "log": log.name,
            "alpha_mix": alpha_mix,
            "published": acr(log, published_mixed_radius, alpha_mix),
            "rszoo": acr(log, mixed_radius, alpha_mix),
        }
        for alpha_mix in WEIGHTS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("logs", nargs="+", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [row for path in arguments.logs for row in measure(path)]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("log", "alpha_mix", "ACR, published radius", "ACR, rszoo", box=None)
    for row in rows:
        table.add_row(
            str(row["log"]),
            str(row["alpha_mix"]),
            f"{row['published']:.3f}",
            f"{row['rszoo']:.3f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()

"""Certified models beside the published ACR of their methods.

    python bench/against_published.py LOG...

A row is met when its ACR and two standard errors reach the published one, which is of all test
images. The released logs hold radii of three significant digits, rounded to the nearest (1.9057
is 1.91), which raises the ACR; "as printed" is the ACR of a log with radii like that.
"""

import argparse
import math
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from rszoo.evaluation.leaderboard.published import published_entries
from rszoo.evaluation.log import LogTable, read_log
from rszoo.evaluation.metrics import summary
from rszoo.theory.rounding import as_share


def as_printed(log: LogTable) -> tuple[float, float]:
    """Return the ACR, and its standard error, of radii with three significant digits."""
    radii = [float(f"{radius:.3}") for radius in log.radius]
    counted = np.where(log.correct, radii, 0.0)
    return counted.mean(), counted.std(ddof=1) / math.sqrt(len(counted))


def published_acr(log: LogTable) -> float | None:
    """Return the published ACR for the data set, method and sigma in the name of a log."""
    for entry in published_entries():
        name = f"{entry.dataset}-{entry.method}-{entry.summary.sigma:.2f}"
        if log.name == name or log.name.startswith(f"{name}-"):
            return entry.summary.acr
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("logs", nargs="+", type=Path)
    table = Table("log", "ACR", "as printed", "right at 0", "published", "", box=None)
    for log in map(read_log, parser.parse_args().logs):
        found, (acr, error), wanted = summary(log), as_printed(log), published_acr(log)
        verdict = ""
        if wanted is not None:
            by = acr + 2 * error - wanted
            verdict = f"{'met' if by >= 0 else 'missed'}, by {abs(by):.5f}"
        table.add_row(
            log.name,
            f"{found.acr:.4f} ({found.acr_se or 0:.4f})",
            f"{acr:.4f} ({error:.4f})",
            f"{as_share(found.clean)} %",
            "none" if wanted is None else f"{wanted:.4f}",
            verdict,
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()

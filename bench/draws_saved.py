"""How many draws sequential tests save, for the proportions that a log shows.

    python bench/draws_saved.py LOG... [--json]

Each row's proportion is taken from its votes, or from its radius where a log of the original
research code holds no votes (then n is 100,000 and alpha 0.001; abstentions are spread evenly
over 0.25 to 0.5). Draws with that proportion are simulated. "times fewer" compares n with the
estimation draws that were needed, the n0 = 100 draws of the selection included on both sides.
"limit" is the same for the fewest draws that Wald's bound (1945) leaves to any test with these
error probabilities, of each image's proportion against the border of the radius next to it: what
its class must exceed to be certifiable, or what n draws certify every second time.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.special import ndtr, rel_entr

from rszoo.certificates.base import ABSTAIN
from rszoo.evaluation.log import LogTable, read_log
from rszoo.smoothing.decisions import RadiusTests, radius_grid
from rszoo.theory.radii import largest_radius

N0, N, ALPHA = 100, 100_000, 0.001
RUNS = 5


def proportions(log: LogTable, sigma: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the probability of each row's candidate, as well as the log shows it."""
    if log.votes is not None and log.n is not None:
        return np.minimum(log.votes / log.n, 1 - 0.5 / log.n)
    lower = ndtr(log.radius / sigma)
    spread = 3.09 * np.sqrt(lower * (1 - lower) / N)
    guessed = rng.uniform(0.25, 0.5, len(log))
    return np.where(log.predict == ABSTAIN, guessed, np.minimum(lower + spread, 1 - 0.5 / N))


def spent(
    tests: RadiusTests, p: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the draws of every simulated run, `[RUNS * images]`."""
    steps = np.diff(tests.looks, prepend=0)
    repeated = np.tile(p, RUNS)
    votes = rng.binomial(steps, repeated[:, None]).cumsum(1)
    return np.array([tests.certificate(0, row.tolist(), n0=N0).spent for row in votes])


def limit(p: NDArray[np.float64], radii: NDArray[np.float64], sigma: float) -> float:
    """Return how many times fewer draws than n any sequential test needs at best."""
    lowest = ndtr(radii / sigma)
    borders = np.minimum(lowest + 3.09 * np.sqrt(lowest * (1 - lowest) / N), 1 - 0.5 / N)
    x = p[:, None]
    against = np.where(x > borders, lowest, borders)
    divergence = rel_entr(x, against) + rel_entr(1 - x, 1 - against)
    needed = (1 - 2 * ALPHA) * np.log((1 - ALPHA) / ALPHA) / np.maximum(divergence, 1e-12)
    return (N0 + N) / (N0 + float(np.minimum(needed.max(1), N).mean()))


def measure(path: Path, sigma: float) -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    log = read_log(path)
    p = proportions(log, sigma, rng)
    standard = np.arange(0.0, largest_radius(N, ALPHA, sigma), 0.25)
    tolerance = 0.1 * sigma
    grid = radius_grid(sigma=sigma, n=N, alpha=ALPHA, tolerance=tolerance)
    questions = {
        "r = sigma": ([sigma], p, 0.0),
        "every 0.25": (standard, p, 0.0),
        f"adaptive, {tolerance:g}": (grid, p, tolerance),
        "abstentions, r = 0": ([0.0], p[p < 0.49], 0.0),
    }
    rows: list[dict[str, object]] = []
    for question, (radii, whose, allowed) in questions.items():
        if not len(whose):
            continue
        tests = RadiusTests.of(radii, sigma=sigma, n=N, alpha=ALPHA, tolerance=allowed)
        needed = spent(tests, whose, rng)
        rows.append(
            {
                "log": log.name,
                "question": question,
                "images": len(whose),
                "draws": float(needed.mean()),
                "times_fewer": (N0 + N) / (N0 + needed.mean()),
                "undecided": float((needed == N).mean()),
                "limit": None if allowed else limit(whose, np.asarray(radii), sigma),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG")
    parser.add_argument("--sigma", type=float, default=0.5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [row for path in options.logs for row in measure(path, options.sigma)]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    table = Table(
        "log", "question", "images", "draws", "times fewer", "limit", "undecided %", box=None
    )
    for row in rows:
        table.add_row(
            str(row["log"]),
            str(row["question"]),
            str(row["images"]),
            f"{row['draws']:,.0f}",
            f"{row['times_fewer']:.1f}",
            "" if row["limit"] is None else f"{row['limit']:.1f}",
            f"{100 * float(str(row['undecided'])):.1f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()

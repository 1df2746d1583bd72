"""What bounds of the runner-up give at given radii, and from how many draws.

    python bench/early_runner_up.py LOG...      # of `rszoo certify --runner-up`, up to 20 classes

Draws in the proportions of each row's counts are simulated, n as in the log. ACR of radii that are
multiples of sigma / 4, and estimation draws of an input, each for the votes of the same draws:

fixed      all n draws, each bound at alpha / 2
steps      `rszoo certify --runner-up --radii`: bounds at every look at alpha / 2
pairs      each at the whole alpha, for pairs of proportions that the n0 draws fix,
           Phi(m + r / sigma) and Phi(m - r / sigma), m in the middle of what n draws like the n0
           would bound
one-sided  `rszoo certify --radii`
"""

import argparse
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from rszoo.certificates.kinds import kind
from rszoo.evaluation.log import read_log
from rszoo.smoothing.decisions import RadiusTests
from rszoo.smoothing.runner_up import RunnerUpTests
from rszoo.theory.bounds import clopper_pearson_lower, clopper_pearson_upper
from rszoo.theory.rounding import as_acr, as_cost
from rszoo.theory.sequential import Counts, enough, looks

N0, FINENESS = (100, 1000), 16


@lru_cache(maxsize=4096)
def needed(z: float, n: int, alpha: float) -> Counts:
    """Return the votes at each look that decide for a proportion."""
    return enough(float(ndtr(z)), n, alpha)


def by_pairs(runs: Counts, first: NDArray[np.int64], radii: list[float], *, alpha: float) -> float:
    """Return the radius, in sigma, that pairs of proportions certify, fixed by n0 draws."""
    n, n0 = int(runs[-1].sum()), int(first.sum())
    if first.argmax():
        return 0.0
    lower = clopper_pearson_lower(round(first[0] / n0 * n), n, alpha)
    upper = clopper_pearson_upper(round(first[1:].max() / n0 * n), n, alpha)
    middle = round((ndtri(lower) + ndtri(upper)) / 2 * FINENESS) / FINENESS
    others = runs.sum(1) - runs[:, 1:].max(1)
    open_, found = np.ones(len(runs), dtype=bool), 0.0
    for r in radii:
        open_ &= runs[:, 0] >= needed(middle + r, n, alpha)
        open_ &= others >= needed(r - middle, n, alpha)
        if not open_.any():
            break
        found = r
    return found


def measure(path: Path) -> list[str]:
    log, rng = read_log(path), np.random.default_rng(0)
    n, alpha = int(log.certificate(0).n), float(log.certificate(0).alpha)
    fixed = kind("runner_up").of_counts
    assert fixed is not None
    budget = {"sigma": 1.0, "n": n, "alpha": alpha}
    radii = [r / 4 for r in range(13)]
    tests = [one.of(radii, **budget) for one in (RunnerUpTests, RadiusTests)]
    found: list[list[float]] = []
    for row in np.flatnonzero(log.candidate == log.label).tolist():
        counts = np.array(log.details["counts"][row], dtype=float)
        candidate = log.certificate(row).candidate
        p = np.concatenate([counts[[candidate]], np.delete(counts, candidate)]) / counts.sum()
        runs = rng.multinomial(np.diff(looks(n), prepend=0), p).cumsum(0)
        all_n = fixed([1, *[0] * (len(p) - 1)], runs[-1].tolist(), n0=1, **budget).radius
        early = [one.of_runs(0, runs.tolist(), n0=100) for one in tests]
        pairs = [by_pairs(runs, rng.multinomial(n0, p), radii, alpha=alpha) for n0 in N0]
        numbers = [int(all_n * 4) / 4, *(one.radius for one in early), *pairs]
        found.append([*numbers, *(one.spent for one in early)])
    total = np.sum(found, axis=0) / len(log)
    per_row = np.mean(found, axis=0)
    return [*map(as_acr, total[:5].tolist()), *map(as_cost, per_row[5:].tolist())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", type=Path, nargs="+")
    head = ["log", "fixed", "steps", "one-sided", *(f"pairs, n0 = {n0:,}" for n0 in N0)]
    head += ["draws, steps", "draws, one-sided"]
    print("|", " | ".join(head), "|")
    print("|" + "---|" * len(head))
    for path in parser.parse_args().logs:
        print("|", " | ".join([path.stem, *measure(path)]), "|")


if __name__ == "__main__":
    main()

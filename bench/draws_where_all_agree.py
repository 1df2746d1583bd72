"""What more draws where all of n agree are worth: ACR against a fixed n of the same mean.

    python bench/draws_where_all_agree.py LOG [--alpha 0.001]

Draws are simulated, 20 times, with the shares of the log's own votes (n = 100,000, say; half a
vote less where all agree). No p above the finest that the log resolves can be known from it, so
that n-max is tried up to its n.
"""

import argparse
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.kinds.extended import extended_certificate
from rszoo.evaluation.log import read_log

RUNS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("--alpha", type=float, default=0.001)
    arguments = parser.parse_args()
    log = read_log(arguments.log)
    assert log.votes is not None
    assert log.n is not None
    assert log.sigma is not None
    p = np.minimum(log.votes, log.n - 0.5) / log.n
    right, sigma = log.candidate == log.label, float(log.sigma[0])
    budget: dict[str, Any] = {"n0": 100, "alpha": arguments.alpha, "sigma": sigma}
    rng = np.random.default_rng(0)
    print("| n | n-max | mean draws | ACR | ACR of as many fixed | at n-max |\n|" + "---|" * 6)
    for n, n_max in product((1_000, 5_000, 10_000, 30_000), (10_000, 30_000, 100_000)):
        if n >= n_max:
            continue
        radii, draws = [], []
        for _ in range(RUNS):
            first = rng.binomial(n, p)
            more = np.where(first == n, rng.binomial(n_max - n, p), 0)
            for agree, votes in zip(first == n, first + more, strict=True):
                made = n_max if agree else n
                given = extended_certificate(0, int(votes), draws=made, n=n, n_max=n_max, **budget)
                radii.append(given.radius)
                draws.append(made)
        mean = round(float(np.mean(draws)))
        found = float((np.reshape(radii, (RUNS, -1)) * right).mean())
        alone = fixed(rng, p, right, mean, budget)
        print(f"| {n:,} | {n_max:,} | {mean:,} | {found:.4f} | {alone:.4f} | ", end="")
        print(f"{found / alone - 1:+.1%} |")


def fixed(
    rng: np.random.Generator,
    p: np.ndarray,
    right: np.ndarray,
    n: int,
    budget: dict[str, Any],
) -> float:
    """Return the ACR of n draws for each image."""
    found = [
        [
            certificate_from_votes(0, int(votes), n=n, **budget).radius
            for votes in rng.binomial(n, p)
        ]
        for _ in range(RUNS)
    ]
    return float((np.array(found) * right).mean())


if __name__ == "__main__":
    main()

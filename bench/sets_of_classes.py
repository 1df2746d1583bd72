"""What may be certified of sets of K classes, by the votes of logs: three sound rules beside.

    python bench/sets_of_classes.py LOG...      # of `rszoo certify --runner-up`, up to 20 classes

ACR where the true class is in the set. The n0 = 100 draws that choose it, which such logs do not
hold, are simulated in the proportions of the n.

first      `rszoo certify --top-k`: the first class of the set against each outside, alpha / 2 each
together   the votes of the set against K / (K + 1), at alpha
members    the votes of the first m of the set against m times each outside, alpha / 2 each; m as
           the n0 draws let expect
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from rszoo.certificates.kinds.top_k import TopK, most_voted, top_k_certificate
from rszoo.evaluation.log import read_log
from rszoo.theory.bounds import clopper_pearson_lower, clopper_pearson_upper
from rszoo.theory.rounding import as_acr

N0 = 100


def against(first: int, rival: int, m: int, *, n: int, alpha: float) -> float:
    """Return up to where m classes have more than m times what each outside has, in sigma."""
    one = ndtri(clopper_pearson_lower(first, n, alpha / 2))
    other = ndtri(clopper_pearson_upper(rival, n, alpha / 2))

    def ahead(t: float) -> float:
        return float(ndtr(one - t) - m * ndtr(other + t))

    root: Any = brentq(ahead, 0.0, 20.0) if ahead(0.0) > 0.0 else 0.0
    return float(root)


def by_members(first: Sequence[int], counts: Sequence[int], size: int, *, alpha: float) -> float:
    """Return the radius of the first m of a set, in sigma, m by the n0 draws."""
    members, n = most_voted(first, size), sum(counts)
    scale = n / sum(first)

    def radius(m: int, votes: Sequence[float]) -> float:
        outside = max(count for c, count in enumerate(votes) if c not in members)
        together = sum(votes[c] for c in members[:m])
        return against(round(together), round(outside), m, n=n, alpha=alpha)

    expected = [count * scale for count in first]
    return radius(max(range(1, size + 1), key=lambda m: radius(m, expected)), counts)


def by_set(first: Sequence[int], counts: Sequence[int], size: int, *, alpha: float) -> float:
    """Return the radius of the votes of a set together, in sigma."""
    votes = sum(counts[c] for c in most_voted(first, size))
    lower = clopper_pearson_lower(votes, sum(counts), alpha)
    return max(0.0, float(ndtri(lower) - ndtri(size / (size + 1))))


def measure(path: Path, size: int) -> NDArray[np.float64]:
    """Return the ACR of each rule, in sigma."""
    log, rng = read_log(path), np.random.default_rng(0)
    total = np.zeros(3)
    for row in range(len(log)):
        counts, old = list(log.details["counts"][row]), log.certificate(row)
        first = rng.multinomial(N0, np.array(counts) / old.n).tolist()
        if log.label[row] not in most_voted(first, size):
            continue
        budget = {"n0": N0, "n": old.n, "alpha": old.alpha, "sigma": 1.0}
        found = top_k_certificate(first, counts, size=size, **budget).details
        assert isinstance(found, TopK)
        others = [rule(first, counts, size, alpha=old.alpha) for rule in (by_set, by_members)]
        total += [found.set_radius, *others]
    return total / len(log)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", type=Path, nargs="+")
    print("| log | K | first | together | members |\n|---|---|---|---|---|")
    for path in parser.parse_args().logs:
        for size in (2, 3):
            sigma = float(read_log(path).certificate(0).sigma)
            shown = map(as_acr, (measure(path, size) * sigma).tolist())
            print("|", " | ".join([path.stem, str(size), *shown]), "|")


if __name__ == "__main__":
    main()

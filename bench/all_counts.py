"""What more than two counts could add to the bound of the runner-up: ceilings, and one method.

    python bench/all_counts.py LOG...      # of `rszoo certify --runner-up`, up to 20 classes

ACR by the counts of each log, and by ten times these (as if n were ten times as large):

built      both bounds at alpha / 2 (`--runner-up`)
buckets    class partitioning, as Delattre et al. (2025, https://arxiv.org/abs/2504.02412) share
           alpha among groups of classes, flattered: the groups are packed by the very counts that
           are bounded, none with more votes than the runner-up, and as few as first fit gives
whole      both bounds at the whole alpha, which is not proven
normal     the difference of the two quantiles at once, by the normal approximation, which is no
           bound of finite n: about what the best joint region of the two proportions could give
exact      the shares for the probabilities: what no number of draws exceeds
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import ndtri
from scipy.stats import norm

from rszoo.evaluation.log import read_log
from rszoo.theory.bounds import clopper_pearson_lower, clopper_pearson_upper
from rszoo.theory.rounding import as_acr


def bounded(votes: int, rival: int, n: int, alpha: float) -> float:
    """Return the radius of two bounds, in sigma."""
    upper = clopper_pearson_upper(rival, n, alpha)
    return max(0.0, float(ndtri(clopper_pearson_lower(votes, n, alpha)) - ndtri(upper)) / 2)


def packed(others: Sequence[int]) -> int:
    """Return into how many groups first fit packs counts, none above the first, the largest."""
    groups: list[int] = []
    for count in others:
        fits = (i for i, group in enumerate(groups) if group + count <= others[0])
        if (place := next(fits, None)) is None:
            groups.append(count)
        else:
            groups[place] += count
    return len(groups)


def approximated(votes: int, rival: int, n: int, alpha: float) -> float:
    """Return the radius of the difference of two quantiles, by the normal approximation."""
    p, q = (min(max(count, 0.5) / n, 1.0 - 0.5 / n) for count in (votes, rival))
    u, v = float(ndtri(p)), float(ndtri(q))
    a, b = 1.0 / norm.pdf(u), 1.0 / norm.pdf(v)
    variance = (a * a * p * (1 - p) + b * b * q * (1 - q) + 2 * a * b * p * q) / n
    return max(0.0, (u - v + float(ndtri(alpha)) * math.sqrt(variance)) / 2)


def measure(path: Path, times: int) -> list[str]:
    """Return the ACR of each rule, and the gain over what is built."""
    log = read_log(path)
    found: list[list[float]] = []
    for row in np.flatnonzero(log.candidate == log.label).tolist():
        old = log.certificate(row)
        counts = [count * times for count in log.details["counts"][row]]
        votes, n = counts[old.candidate], old.n * times
        others = sorted((c for i, c in enumerate(counts) if i != old.candidate), reverse=True)
        rival = others[0]
        exact = (votes + 0.5) / (n + 1), (rival + 0.5) / (n + 1)
        found.append(
            [
                bounded(votes, rival, n, old.alpha / 2),
                bounded(votes, rival, n, old.alpha / (1 + packed(others))),
                bounded(votes, rival, n, old.alpha),
                approximated(votes, rival, n, old.alpha),
                max(0.0, float(ndtri(exact[0]) - ndtri(exact[1])) / 2),
            ]
        )
    acr = np.sum(found, axis=0) / len(log) * float(log.certificate(0).sigma)
    built, *others_acr = acr.tolist()
    gains = [f"{as_acr(one)} ({100 * (one / built - 1):+.1f} %)" for one in others_acr]
    return [as_acr(built), *gains]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", type=Path, nargs="+")
    print("| log | n | built | buckets | whole | normal | exact |\n" + "|---" * 7 + "|")
    for path in parser.parse_args().logs:
        for times in (1, 10):
            n = read_log(path).certificate(0).n * times
            print("|", " | ".join([path.stem, f"{n:,}", *measure(path, times)]), "|")


if __name__ == "__main__":
    main()

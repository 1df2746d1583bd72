"""How far a cascade of some experts could reach, by the counts of their own logs.

    python bench/cascade_reach.py LOG LOG ...      # of `rszoo certify --runner-up`, by sigma

A cascade asks the expert of the largest sigma first. With a threshold t for each expert, it gives
the class that has more than t of its noise, and is passed over otherwise; ours has t = 1/2. Where
expert k answers c, the radius is the smallest of

    sigma_k (Phi^-1(lower bound of c) - Phi^-1(t_k))                                   its own
    sigma_j (Phi^-1(t_j) - Phi^-1(upper bound of the most frequent other class))       each j > k

with 1/2 for t_0, as the last expert to be asked gives its most frequent class. The bounds are
those of all n draws, and the level is the best one: first by the result itself, which no draws
could know, and then by n0 simulated draws, as `rszoo.smoothing.cascade` chooses it. "step" rounds
the radii of the experts before down to so many sigma, as its sequential tests do.
"""

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from rszoo.evaluation.log import LogTable, read_log
from rszoo.evaluation.oracle import Oracle
from rszoo.smoothing.cascade import no_other
from rszoo.smoothing.level_sets import expected_radius
from rszoo.theory.bounds import clopper_pearson_lower, clopper_pearson_upper
from rszoo.theory.radii import largest_radius

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)
RADII = [0.25 * i for i in range(13)]

Floats = NDArray[np.float64]


class Experts:
    """The counts of several experts on the same images, and what they bound.

    Attributes:
        counts: `[K, images, classes]`.
        sigmas: rising, `[K]`.
        labels: true classes, `[images]`.
        oracle: what each expert has by itself, and the best of them.
    """

    def __init__(self, logs: Sequence[LogTable]) -> None:
        columns = [(log.n, log.alpha, log.sigma) for log in logs]
        (n, alpha, _), *_ = columns
        assert n is not None
        assert alpha is not None
        self.n, self.alpha = int(n[0]), float(alpha[0])
        self.sigmas = [float(sigma[0]) for _, _, sigma in columns if sigma is not None]
        self.labels = logs[0].label
        self.counts = np.array([[*map(list, log.details["counts"])] for log in logs])
        votes = range(self.n + 1)
        self.lower = ndtri([clopper_pearson_lower(k, self.n, self.alpha) for k in votes])
        self.upper = ndtri([clopper_pearson_upper(k, self.n, self.alpha) for k in votes])
        radii = np.array(self.sigmas)[:, None] * self.lower[self.counts.max(2)]
        right = (self.counts.argmax(2) == self.labels) & (radii > 0.0)
        self.oracle = Oracle(radii=np.where(right, radii, 0.0), right=right)

    def reach(self, thresholds: Sequence[float]) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the radius where the best level answers, and whether that is right."""
        images = np.arange(len(self.labels))
        radii, answers = [], []
        for k, sigma in enumerate(self.sigmas):
            answer = self.counts[k].argmax(1)
            t = ndtri(thresholds[k]) if k else 0.0
            radius = sigma * (self.lower[self.counts[k].max(1)] - t)
            for j in range(k + 1, len(self.sigmas)):
                others = self.counts[j].copy()
                others[images, answer] = -1
                limit = ndtri(thresholds[j]) - self.upper[others.max(1)]
                radius = np.minimum(radius, self.sigmas[j] * limit)
            radii.append(radius)
            answers.append(answer)
        level = np.array(radii).argmax(0)
        radius, answer = np.array(radii)[level, images], np.array(answers)[level, images]
        right = (answer == self.labels) & (radius > 0.0)
        return np.where(right, radius, 0.0), right

    def chosen(self, n0: int, step: float, rng: np.random.Generator) -> tuple[Floats, NDArray]:
        """Return the same at t = 1/2 for the level that n0 draws choose."""
        radii = np.zeros(len(self.labels))
        right = np.zeros(len(self.labels), dtype=bool)
        caps = [largest_radius(self.n, self.alpha, sigma) for sigma in self.sigmas]
        for i, label in enumerate(self.labels):
            first = [rng.multinomial(n0, row / row.sum()).tolist() for row in self.counts[:, i]]
            level = max(range(len(caps))[::-1], key=lambda k: self._expected(first, k, n0, caps))
            answer = int(np.argmax(first[level]))
            radius = self.sigmas[level] * self.lower[self.counts[level, i, answer]]
            for j in range(level + 1, len(caps)):
                limit = -self.upper[self.n - no_other(answer, self.counts[j, i].tolist())]
                rounded = np.floor(limit / step) * step if step else limit
                if self.sigmas[j] * limit < radius:
                    radius = self.sigmas[j] * rounded
            if answer == label and radius > 0.0:
                radii[i], right[i] = radius, True
        return radii, right

    def _expected(
        self, first: Sequence[list[int]], level: int, n0: int, caps: Sequence[float]
    ) -> float:
        answer = int(np.argmax(first[level]))
        found = [expected_radius(first[level][answer], n0, self.sigmas[level], cap=caps[level])]
        for j in range(level + 1, len(caps)):
            agreeing = no_other(answer, first[j])
            found.append(expected_radius(agreeing, n0, self.sigmas[j], cap=caps[j]))
        return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", type=Path, nargs="+")
    experts = Experts([read_log(path) for path in parser.parse_args().logs])
    oracle = experts.oracle

    def line(what: str, radii: Floats, right: NDArray) -> str:
        below, way = oracle.below(radii, right, RADII), oracle.way(radii.mean())
        return (
            f"{what:<28} ACR {radii.mean():.4f}, {way:.2f} of the way, at most "
            f"{100 * below.max():.1f} points below the envelope (r = {RADII[below.argmax()]:g})"
        )

    print(f"experts {oracle.radii.mean(1).round(4)}, oracle {oracle.acr:.4f}")
    print(line("with hindsight, t = 1/2", *experts.reach([0.5] * len(experts.sigmas))))
    later = product([0.5], *[THRESHOLDS] * (len(experts.sigmas) - 1))
    found = [(t, *experts.reach(t)) for t in later]
    t, radii, right = max(found, key=lambda one: one[1].mean())
    print(line(f"  largest ACR: t = {t}", radii, right))
    t, radii, right = min(found, key=lambda one: oracle.below(one[1], one[2], RADII).max())
    print(line(f"  nearest: t = {t}", radii, right))
    for n0, step in product((100, 300, 1000), (0.1, 0.0)):
        rng = np.random.default_rng(0)
        print(line(f"by n0 = {n0}, step {step:g}", *experts.chosen(n0, step, rng)))


if __name__ == "__main__":
    main()

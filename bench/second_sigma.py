"""What a second noise level could add to the one-sided bound: double sampling (Li et al., 2022).

    python bench/second_sigma.py builtin/digits-gaussian-0.50 ...

Double sampling (https://arxiv.org/abs/2206.07912) bounds the class's probability under a second
noise as well; here N(0, (ratio sigma)^2 I), which needs no other network. Measured is a ceiling:
shares of n = 10,000 draws under either noise are taken for the probabilities, which costs no
confidence at all, of every 18th test image whose class has more than half of the noise. The
radius is that up to which no set of points with these two probabilities has less than half of the
moved noise (Neyman and Pearson's lemma with two constraints: the dual is maximised on a grid of
the coordinate along the move and the squared norm of the others).
"""

import argparse

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtri
from scipy.stats import chi2, norm

import rszoo
from rszoo import data
from rszoo.evaluation.given import inputs_given
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.noise import Stream

RATIOS, DRAWS, STEPS = (0.8, 0.95, 1.05), 10_000, 10

Grid = NDArray[np.float64]


def nodes(numbers: int, farthest: float, ratio: float) -> tuple[Grid, Grid, Grid]:
    """Return a coordinate, weights under the noise, and the ratio of the other density, in sigma.

    Args:
        numbers: of an image.
        farthest: move.
        ratio: of the second noise level to the first.
    """
    along = np.linspace(-6.0, farthest + 6.0, 240)
    span = chi2.ppf([1e-9, 1.0 - 1e-9], numbers - 1) * np.array([min(1.0, ratio**2), 1.0])
    rest = np.linspace(float(span[0]), float(span[1]), 240)
    weights = np.outer(norm.pdf(along), chi2.pdf(rest, numbers - 1))
    weights /= weights.sum()
    norms = along[:, None] ** 2 + rest[None, :]
    other = np.exp(-numbers * np.log(ratio) - norms / 2 * (1.0 / ratio**2 - 1.0))
    return along[:, None], weights, other / (other * weights).sum()


def least(r: float, p: float, q: float, grid: tuple[Grid, Grid, Grid]) -> float:
    """Return the least probability, moved by r, of what has p and q under the two noises."""
    along, weights, other = grid
    moved = np.exp(along * r - r * r / 2)
    moved = moved / (moved * weights).sum()

    def negative(dual: Grid) -> tuple[float, Grid]:
        below = np.minimum(0.0, moved - dual[0] - dual[1] * other) * weights
        inside = (below < 0.0) * weights
        slope = np.array([p - inside.sum(), q - (inside * other).sum()])
        return -float(dual[0] * p + dual[1] * q + below.sum()), -slope

    start = np.array([float(np.exp(float(ndtri(p)) * r - r * r / 2)), 0.0])
    found = minimize(negative, start, jac=True, method="BFGS")
    return -float(found.fun)


def radius(p: float, q: float, grid: tuple[Grid, Grid, Grid]) -> float:
    """Return how far the probability certainly stays at least one half, in sigma."""
    low, high = float(ndtri(p)), float(ndtri(p)) * 1.5 + 0.1
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if least(middle, p, q, grid) >= 0.5 else (low, middle)
    return low


def measure(name: str, ratio: float) -> tuple[int, float, float]:
    """Return how many images, and their mean radius by one noise and by two, in sigma."""
    model = rszoo.load(name)
    assert isinstance(model, SmoothedClassifier)
    one, two = [], []
    for given in inputs_given(model, data.load("digits", "test"), skip=18).inputs:
        x = given.image()
        counts = model.votes(x, n=DRAWS, stream=Stream.ESTIMATION, seed=1)
        top = int(np.argmax(counts))
        p = min(counts[top] / DRAWS, 1.0 - 0.5 / DRAWS)
        if p <= 0.5:
            continue
        second = model.with_sigma(model.sigma * ratio)
        votes = second.votes(x, n=DRAWS, stream=Stream.ESTIMATION, seed=2)[top]
        q = min(max(votes, 0.5) / DRAWS, 1.0 - 0.5 / DRAWS)
        grid = nodes(x.numel(), 1.5 * float(ndtri(p)) + 0.1, ratio)
        one.append(float(ndtri(p)))
        two.append(radius(p, q, grid))
    return len(one), float(np.mean(one)), float(np.mean(two))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    print("| model | second sigma | images | one noise | two | gain |\n" + "|---" * 6 + "|")
    for name in parser.parse_args().names:
        for ratio in RATIOS:
            images, one, two = measure(name, ratio)
            shown = f"{one:.3f} | {two:.3f} | {100 * (two / one - 1):+.1f} %"
            print(f"| {name} | {ratio:g} sigma | {images} | {shown} |", flush=True)


if __name__ == "__main__":
    main()

"""How likely `rszoo verify` finds a forged log, at its defaults, with and without the replay.

    python bench/forgeries.py [LOG] [--runs 1000] [--markdown]

The proportions of the log's rows are taken to be the true ones; logs are simulated from them,
forged, and put to the tests of `rszoo.theory.agreement`. "replay" is where everything about the
machine agrees, so that certificates must be equal; "near" where the share of flips of
`rszoo.evaluation.repetition.FLIPS` is allowed; "fresh" is without either. The borders of pooled
and dispersion test are those of one simulated true log, whose totals are nearly those of the
others. Where the candidate matters, all draws are taken to fall on two classes.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, hypergeom

from rszoo.evaluation.log import read_log
from rszoo.evaluation.repetition import FLIPS
from rszoo.hub.verification import Recheck
from rszoo.theory.agreement import PARTS, Counts, flips_p_value, together
from rszoo.theory.rounding import floor_digits

LOG = Path(__file__).parents[1] / "zoo/rszoo/builtin/digits-gaussian-0.50/certificates.tsv"
N0 = 100

#: The share of answers that are others in bfloat16 than in float32, see `repetition`.
BFLOAT16 = 0.0018

Shares = NDArray[np.float64]
Votes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Forgery:
    """A way to forge a log.

    Attributes:
        name: what is done.
        votes: the forged votes of many logs, `[runs, rows]`, and those that the log's own seed
            gives.
        n: the draws that are stated.
        selected: how likely, for each row, another class is ahead in its selection by so much.
    """

    name: str
    votes: Callable[[np.random.Generator, Shares, int, int], tuple[Votes, Votes]]
    n: int = 10_000
    selected: Callable[[Shares, int], Shares] = lambda p, lead: np.zeros_like(p)


def drawn(rng: np.random.Generator, p: Shares, n: int, runs: int) -> Votes:
    return rng.binomial(n, p, size=(runs, len(p)))


def true(rng: np.random.Generator, p: Shares, n: int, runs: int) -> tuple[Votes, Votes]:
    votes = drawn(rng, p, n, runs)
    return votes, votes


def raised(
    rng: np.random.Generator, p: Shares, n: int, runs: int, *, by: float
) -> tuple[Votes, Votes]:
    votes = drawn(rng, p, n, runs)
    return np.minimum(n, np.rint(votes * (1.0 + by)).astype(np.int64)), votes


def best_of(
    rng: np.random.Generator, p: Shares, n: int, runs: int, *, seeds: int
) -> tuple[Votes, Votes]:
    # The largest of many draws is the quantile of the largest of as many uniform numbers.
    uniform = rng.uniform(size=(runs, len(p))) ** (1.0 / seeds)
    return binom.ppf(uniform, n, p).astype(np.int64), drawn(rng, p, n, runs)


def best_log(
    rng: np.random.Generator, p: Shares, n: int, runs: int, *, seeds: int
) -> tuple[Votes, Votes]:
    chosen = np.stack([max(drawn(rng, p, n, seeds), key=np.sum) for _ in range(runs)])
    return chosen, chosen


def multiplied(
    rng: np.random.Generator, p: Shares, n: int, runs: int, *, by: int
) -> tuple[Votes, Votes]:
    few = drawn(rng, p, n // by, runs)
    return few * by, few + drawn(rng, p, n - n // by, runs)


def one_row(
    rng: np.random.Generator, p: Shares, n: int, runs: int, *, by: float
) -> tuple[Votes, Votes]:
    votes = drawn(rng, p, n, runs)
    forged, row = votes.copy(), int(np.abs(p - 0.9).argmin())
    forged[:, row] = np.minimum(n, np.rint(votes[:, row] * (1.0 + by)))
    return forged, votes


def other_seed(rng: np.random.Generator, p: Shares, n: int, runs: int) -> tuple[Votes, Votes]:
    return drawn(rng, p, n, runs), drawn(rng, p, n, runs)


def in_bfloat16(rng: np.random.Generator, p: Shares, n: int, runs: int) -> tuple[Votes, Votes]:
    votes, spread = drawn(rng, p, n, runs), p * (1.0 - p)
    flips = BFLOAT16 * spread / spread.mean()  # none where all draws agree
    gone, come = (rng.binomial(n, flips / 2, size=votes.shape) for _ in range(2))
    return np.clip(votes - gone + come, 0, n), votes


def of_other_draws(p: Shares, lead: int, *, draws: int) -> Shares:
    """Return how likely the class behind in `draws` leads by so many votes in N0 others."""
    ahead = binom.sf(draws // 2, draws, p)
    few = (N0 - lead) // 2
    return ahead * binom.cdf(few, N0, p) + (1 - ahead) * binom.cdf(few, N0, 1 - p)


FORGERIES = (
    Forgery(name="none: a true log", votes=true),
    Forgery(name="votes 0.1 % too high", votes=partial(raised, by=0.001)),
    Forgery(name="votes 0.5 % too high", votes=partial(raised, by=0.005)),
    Forgery(name="votes 1 % too high", votes=partial(raised, by=0.01)),
    Forgery(name="the best of 2 seeds for each row", votes=partial(best_of, seeds=2)),
    Forgery(name="the best of 1,000 seeds for each row", votes=partial(best_of, seeds=1000)),
    Forgery(name="10,000 draws sold as 100,000", votes=partial(multiplied, by=10), n=100_000),
    Forgery(name="1,000 draws sold as 10,000", votes=partial(multiplied, by=10)),
    Forgery(name="one row of p = 0.9, 1 % too high", votes=partial(one_row, by=0.01)),
    Forgery(name="one row of p = 0.9, all votes", votes=partial(one_row, by=1.0)),
    Forgery(name="another seed than the stated", votes=other_seed),
    Forgery(name="bfloat16, stated as float32", votes=in_bfloat16),
    Forgery(
        name="n0 of 10, stated as 100", votes=true, selected=partial(of_other_draws, draws=10)
    ),
    Forgery(
        name="candidate chosen by the votes that count",
        votes=true,
        selected=partial(of_other_draws, draws=10_000),
    ),
    Forgery(name="the best of 100 seeds for the whole log", votes=partial(best_log, seeds=100)),
    Forgery(name="alpha, radii or inputs chosen after the votes", votes=true),
)


def by_fresh_draws(counts: Counts, level: float, true_log: Counts) -> NDArray[np.bool_]:
    """Return in which runs the tests on fresh draws find fault; counts are `[runs, rows]`."""
    borders = together(true_log, level=level, seed=0)
    variance = np.maximum(counts.variance, 1e-300)
    far = (counts.votes - counts.mean) ** 2 / variance * (counts.variance > 0)
    high = (counts.votes - counts.mean).sum(1) / np.sqrt(counts.variance.sum(1))
    single = np.zeros(far.shape, dtype=np.bool_)
    odd = far > 9.0  # the others have a p-value above the share of one row by far
    shown = [np.broadcast_to(one, far.shape)[odd] for one in (counts.votes, counts.draws)]
    both = [np.broadcast_to(one, far.shape)[odd] for one in (counts.all_draws, counts.total)]
    lower = hypergeom.cdf(shown[0], *both, shown[1])
    upper = hypergeom.sf(shown[0] - 1, *both, shown[1])
    single[odd] = 2 * np.minimum(lower, upper) < level / far.shape[1]
    found = single.any(1) | (high > borders.critical) | (far.sum(1) > borders.critical_distance)
    return found


def by_replay(
    forged: Votes, own: Votes, n: int, *, rows: int, level: float, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return in which runs a replay of some rows finds fault: an exact one, and a near one."""
    order = rng.permuted(np.tile(np.arange(forged.shape[1]), (len(forged), 1)), axis=1)[:, :rows]
    off = np.take_along_axis(np.abs(forged - own), order, axis=1)
    share, part = FLIPS["float32"], level / (rows + 1)
    allowed = next(k for k in range(n + 1) if 2 * flips_p_value(k + 1, n, share) < part)
    in_all = next(
        k for k in range(n * rows) if flips_p_value(k + 1, (n + N0) * rows, share) < part
    )
    return off.any(1), (off > allowed).any(1) | (off.sum(1) > in_all)


def measure(forgery: Forgery, p: Shares, runs: int) -> tuple[float, float, float]:
    """Return with which probability a forgery is found: by a replay, a near one, fresh draws."""
    rng, recheck, n = np.random.default_rng(0), Recheck(), forgery.n
    level, m = recheck.level / PARTS, recheck.draws

    def counts(votes: Votes) -> Counts:
        new = rng.binomial(m, p, size=votes.shape)
        draws, new_draws = np.full(len(p), n), np.full(len(p), m)
        return Counts(votes=votes, draws=draws, new_votes=new, new_draws=new_draws)

    forged, own = forgery.votes(rng, p, n, runs)
    fresh = by_fresh_draws(counts(forged), level, counts(rng.binomial(n, p)))
    rows = min(len(p), recheck.replayed // (n + N0))
    exact, near = by_replay(forged, own, n, rows=rows, level=level, rng=rng)
    part = level / (rows + 1) / 2
    flips = next(k for k in range(1, N0) if flips_p_value(k, N0, FLIPS["float32"]) < part)
    exact |= differently_selected(forgery, p, rows=rows, lead=1, runs=runs, rng=rng)
    near |= differently_selected(forgery, p, rows=rows, lead=2 * flips - 1, runs=runs, rng=rng)
    exact, near = exact | fresh, near | fresh
    return float(exact.mean()), float(near.mean()), float(fresh.mean())


def differently_selected(
    forgery: Forgery, p: Shares, *, rows: int, lead: int, runs: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return in which runs some replayed row has another candidate, ahead by so many votes."""
    none = math.exp(np.log1p(-forgery.selected(p, lead)).sum() * rows / len(p))
    return rng.uniform(size=runs) >= none


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("log", nargs="?", type=Path, default=LOG)
    parser.add_argument("--runs", type=int, default=1000)
    chosen = parser.parse_args()
    log = read_log(chosen.log)
    assert log.votes is not None
    assert log.n is not None
    p = np.minimum(log.votes / log.n, 1.0 - 0.1 / log.n)
    print("| forgery | replay | near | fresh |", "|---|---|---|---|", sep="\n")
    for forgery in FORGERIES:
        found = measure(forgery, p, chosen.runs)
        shown = [floor_digits(share * chosen.runs / (chosen.runs + 1), 3) for share in found]
        print(f"| {forgery.name} |", " | ".join(shown), "|")


if __name__ == "__main__":
    main()

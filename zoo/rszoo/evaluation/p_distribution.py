"""The empirical distribution of p, the probability of the selected class under noise.

p is estimated by votes / n, without a confidence bound. Unlike the ACR it does not grow with n or
alpha, where all votes are under one noise level: it says what a model is like, and nothing about
what has been proved of it. The share of inputs that are right and have p >= q is what unlimited
draws would certify at the radius sigma * Phi^-1(q). It is what Sun et al. (2025),
https://arxiv.org/abs/2410.06895, ask for beside the curve of certified accuracy; their released
distributions (`data/ecdf` of https://github.com/eth-sri/acr-weakness) count right answers only, as
`right` does.
"""

from dataclasses import dataclass

import numpy as np

from rszoo.evaluation.log import LogTable

__all__ = ["PDistribution", "p_distribution", "why_unknown"]

_THRESHOLDS = (0.5, 0.9, 0.99, 0.999)
_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, kw_only=True)
class PDistribution:
    """The distribution over the inputs of a log of the share of draws for the selected class.

    Attributes:
        thresholds: values q of p.
        shares: share of the inputs with p >= q, the class right or wrong; None where n draws
            cannot tell such a q from 1.
        right: share of the inputs with p >= q whose selected class is the true one.
        all_but_one: the same two where p >= 1 - 1/n, the finest that n draws resolve. This one
            does depend on n.
        levels: of the quantiles.
        quantiles: of p over the inputs, right or wrong; each is the p of some input.
    """

    thresholds: tuple[float, ...]
    shares: tuple[float | None, ...]
    right: tuple[float | None, ...]
    all_but_one: tuple[float, float]
    levels: tuple[float, ...]
    quantiles: tuple[float, ...]


def p_distribution(log: LogTable) -> PDistribution | None:
    """Return the distribution of p in a log; None where `why_unknown` gives a reason."""
    if why_unknown(log) is not None or log.votes is None or log.n is None:
        return None
    p = log.votes / log.n
    right = log.candidate == log.label
    finest = (int(log.n.min()) - 1) / int(log.n.min())
    reached = [p >= q if q <= finest else None for q in _THRESHOLDS]
    nearly = log.votes >= log.n - 1
    return PDistribution(
        thresholds=_THRESHOLDS,
        shares=tuple(None if one is None else float(one.mean()) for one in reached),
        right=tuple(None if one is None else float((one & right).mean()) for one in reached),
        all_but_one=(float(nearly.mean()), float((nearly & right).mean())),
        levels=_LEVELS,
        quantiles=tuple(np.quantile(p, _LEVELS, method="inverted_cdf").tolist()),
    )


def why_unknown(log: LogTable) -> str | None:
    """Return why a log says nothing of p; None where it does."""
    if log.votes is None:
        return "the log holds no counts"
    if log.kind.of_sets:
        return "sets of classes are certified, and the votes are of one class"
    if not log.kind.one_sigma:
        return "the votes are under several noise levels, and which one answers depends on n"
    if log.tested is not None or (log.draws != log.n).any():
        return "the draws stopped early, and where they stop depends on the votes"
    if len(log) == 0:
        return "the log has no rows"
    return None

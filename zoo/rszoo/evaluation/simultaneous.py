"""What the certificates of a log say of all of its inputs together.

A certificate is wrong with probability alpha at most, each by itself. Of N of them N alpha are
therefore expected to be wrong at most, and with alpha = 0.001 and 10,000 inputs ten may well be.
That none is wrong holds with probability 1 - alpha if each is certified at alpha / N
(Bonferroni), which the counts allow afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from rszoo.evaluation.coverage import coverage
from rszoo.evaluation.log import LogTable

__all__ = ["AtOnce", "at_once", "expected_wrong", "why_not_at_once", "why_not_expected"]


@dataclass(frozen=True, kw_only=True)
class AtOnce:
    """What holds of all inputs of a log at once.

    Attributes:
        inputs: how many there are, N.
        alpha: probability that anything of this is wrong.
        each: failure probability of each certificate, alpha / N.
        acr: average certified radius at it, pixel units.
        certified_accuracy: share at each radius that was asked for, in [0, 1].
    """

    inputs: int
    alpha: float
    each: float
    acr: float
    certified_accuracy: tuple[float, ...]


def why_not_expected(log: LogTable) -> str | None:
    """Return why a log does not say how many wrong certificates to expect; None where it does."""
    if not log.kind.certifies:
        return "nominal radii certify nothing"
    if log.alpha is None:
        return "the log does not say alpha"
    if not log.kind.independent:
        return "the certificates rest on each other"
    return None


def expected_wrong(log: LogTable) -> float | None:
    """Return how many certificates of a log, abstentions too, are expected to be wrong at most.

    Guarantee:
        - The expected number of rows whose statement is wrong, over the noise, is no larger.
        - That holds of whatever rows of all inputs that the log is about are listed, as all of
          them count.
        - It assumes what every certificate does: network and inputs were fixed without regard to
          the seed, and each input was certified once.

    Args:
        log: at least one row.

    Returns:
        The sum of alpha over all inputs; None where `why_not_expected` gives a reason.
    """
    if why_not_expected(log) is not None or log.alpha is None:
        return None
    alphas = [Decimal(repr(alpha)) for alpha in log.alpha.tolist()]  # 360 times 0.001 is 0.36
    return float(sum(alphas) + max(alphas) * (coverage(log).count - len(log)))


def why_not_at_once(log: LogTable) -> str | None:
    """Return why a log does not say what holds of all inputs at once; None where it does."""
    reason = why_not_expected(log)
    if reason is not None:
        return reason
    if log.kind.of_sets:
        return "sets of classes are certified, each at its own alpha"
    if log.kind.at_alpha is None:
        return "the rows were decided early or have parts, and hold at their own alpha only"
    if log.alpha is None or len(np.unique(log.alpha)) != 1:
        return "the rows differ in alpha"
    return None


def at_once(log: LogTable, radii: Sequence[float]) -> AtOnce | None:
    """Return what holds of all inputs of a log at once, each certified at alpha / N.

    Guarantee:
        - With probability at least 1 - alpha over the noise, every one of these certificates
          holds: the smoothed classifier is right, and stays so within the radius, for at least the
          given share of the inputs at every radius together, and the average radius within which
          it does is at least the ACR.
        - N is the number of inputs that the log is about. Those that it does not list count as
          wrong, so that rows which were left out by their results make nothing better. Of a log
          that does not say how many there are, N is the number that its rows suggest
          (`rszoo.evaluation.coverage`).
        - Nothing is assumed of how the draws of different inputs depend on each other (union
          bound). Else the assumptions are those of every certificate: network and inputs were
          fixed without regard to the seed, and each input was certified once.

    Args:
        log: at least one row, with true labels.
        radii: where to give the certified accuracy, each >= 0, pixel units.

    Returns:
        The statement; None where `why_not_at_once` gives a reason.
    """
    certify = log.kind.at_alpha
    if why_not_at_once(log) is not None or certify is None or log.alpha is None:
        return None
    alpha, inputs = float(log.alpha[0]), coverage(log).count
    each = alpha / inputs
    certificates = [certify(log.certificate(row), each) for row in range(len(log))]
    right = np.array([one.label for one in certificates]) == log.label
    gained = np.array([one.radius for one in certificates])
    right &= np.array([one.label >= 0 for one in certificates])
    return AtOnce(
        inputs=inputs,
        alpha=alpha,
        each=each,
        acr=float((gained * right).sum()) / inputs,
        certified_accuracy=tuple(int((right & (gained >= r)).sum()) / inputs for r in radii),
    )

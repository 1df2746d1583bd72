"""What a composed model loses to the best of its experts, by their own logs of the same images.

A cascade or a dual model lets one expert answer. For each image, with radii that count 0 where
wrong,

    choice loss = the best expert's radius minus that of the expert which answers
    router loss = that of the expert which answers minus the composed one

and on average both together are what the model's ACR lacks of the oracle's. The first is lost by
asking another expert, the second since the router, or what is asked before that expert, holds only
up to a smaller radius. Neither is a certificate, see `rszoo.evaluation.oracle`; nothing but tables
of `rszoo report` shows them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rszoo.errors import DataError
from rszoo.evaluation.log import LogTable
from rszoo.evaluation.metrics import differences, summary
from rszoo.evaluation.oracle import Oracle
from rszoo.theory.bounds import same_proportion_p_value

__all__ = ["Losses", "losses"]

_LEVEL = "expert_level"
# Logs of the very experts are taken for those of others with at most this probability.
_MISTAKEN = 1e-6


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What a composed model loses to the best of its experts; averages over the images.

    Attributes:
        name: of the composed model's log.
        experts: names of the experts' logs, by level.
        best: the name of the one with the largest ACR.
        acr: of the composed model, pixel units; as `best_acr` certified.
        best_acr: of the best expert.
        oracle_acr: of the best right expert for each image.
        choice: the choice loss, at least 0, pixel units.
        router: the router loss, pixel units; below 0 only where other draws say so.
        way: how far the model is on the way from `best_acr` to `oracle_acr`, 1 at the end; None
            where there is none.
        radii: where accuracies are given, pixel units.
        envelope: the largest certified accuracy of an expert at each, in [0, 1].
        oracle_accuracy: share of images for which any expert is right, at each.
        below: by how much the model is below the envelope where it is farthest, in [-1, 1].
        below_at: where that is.
        certified: False: an oracle is no certificate.
    """

    name: str
    experts: tuple[str, ...]
    best: str
    acr: float
    best_acr: float
    oracle_acr: float
    choice: float
    router: float
    way: float | None
    radii: tuple[float, ...]
    envelope: tuple[float, ...]
    oracle_accuracy: tuple[float, ...]
    below: float
    below_at: float
    certified: bool = False


def losses(composed: LogTable, experts: Sequence[LogTable], radii: Sequence[float]) -> Losses:
    """Return what a composed model loses to its experts.

    Args:
        composed: a log of a cascade or a dual model, with true labels.
        experts: the logs of its experts, by level.
        radii: where to give accuracies, at least one, pixel units.

    Raises:
        DataError: the log is of no such model or has no true labels, or is at given radii; or the
            others are not of its experts, or of other inputs, n, alpha, radii or bound.
    """
    whole = summary(composed, radii)
    levels = _levels(composed)
    for expert in experts:
        _check_alike(composed, expert)
    _check_levels(composed, experts)
    for level, expert in enumerate(experts):
        _check_votes(composed, expert, levels == level)
    orders = [log.idx.argsort() for log in experts]
    right = np.array([log.correct[order] for log, order in zip(experts, orders, strict=True)])
    held = np.array([log.radius[order] for log, order in zip(experts, orders, strict=True)])
    oracle = Oracle(radii=held * right, right=right)
    answering = oracle.radii[levels[composed.idx.argsort()], np.arange(len(composed))].mean()
    below = oracle.below(composed.radius, composed.correct, radii)
    return Losses(
        name=composed.name,
        experts=tuple(expert.name for expert in experts),
        best=experts[oracle.best].name,
        acr=whole.acr,
        best_acr=oracle.best_acr,
        oracle_acr=oracle.acr,
        choice=float(oracle.acr - answering),
        router=float(answering - whole.acr),
        way=oracle.way(whole.acr),
        radii=whole.radii,
        envelope=tuple(oracle.envelope(radii).tolist()),
        oracle_accuracy=tuple(oracle.accuracy(radii).tolist()),
        below=float(below.max()),
        below_at=whole.radii[int(below.argmax())],
    )


def _levels(composed: LogTable) -> NDArray[np.int64]:
    """Return which expert answers in each row."""
    levels = composed.details.get(_LEVEL)
    if levels is None or composed.protocol is None:
        raise DataError(
            f"{composed.path}: expected the log of a cascade or a dual model and its protocol, "
            f"got certificates of kind {composed.kind.name!r}; only there one of several experts "
            "answers"
        )
    if composed.tested is not None:
        raise DataError(
            f"{composed.path}: expected certificates of all n draws, got some at given radii: "
            "where draws stopped early, votes do not show whose log of an expert is its own; "
            "certify all without --radii and --adaptive"
        )
    return levels


def _check_alike(composed: LogTable, expert: LogTable) -> None:
    if found := differences([composed, expert]):
        raise DataError(
            "expected the composed model and its experts certified alike, got "
            f"{composed.path} and {expert.path}, which differ in {', '.join(found)}; certify both "
            "on the same inputs, with the same budget"
        )


def _check_levels(composed: LogTable, experts: Sequence[LogTable]) -> None:
    assert composed.protocol is not None
    stated = [one["sigma"] for one in composed.protocol.values()["experts"]]
    protocols = [one.protocol if one.kind.one_sigma else None for one in experts]
    given = [protocol and protocol.sigma for protocol in protocols]
    if given != stated:
        raise DataError(
            f"expected the log of each expert of {composed.path}, by level, of sigma "
            f"{', '.join(map(repr, stated))}, got {', '.join(map(repr, given))}"
        )


def _check_votes(composed: LogTable, expert: LogTable, answers: NDArray[np.bool_]) -> None:
    """Refuse the log of another network than the one whose votes the rows that it answers hold."""
    mine, its = composed.idx.argsort(), expert.idx.argsort()
    columns = (composed.candidate, composed.votes, composed.n)
    others = (expert.candidate, expert.votes, expert.n)
    candidate, votes, n = (column[mine] for column in columns if column is not None)
    its_candidate, its_votes, its_n = (column[its] for column in others if column is not None)
    rows = answers[mine] & (candidate == its_candidate)
    # In standard deviations, if both are right; the exact test is of the row of the largest.
    total, both = votes + its_votes, n + its_n
    apart = np.abs(votes - its_votes) / np.sqrt(total * (both - total) + 1.0)
    worst = int(np.where(rows, apart, 0.0).argmax())
    found = [int(column[worst]) for column in (votes, n, its_votes, its_n)]
    if rows[worst] and same_proportion_p_value(*found) * int(rows.sum()) < _MISTAKEN:
        raise DataError(
            f"expected the log of an expert of {composed.path}, got {expert.path}, where "
            f"{found[2]:,} of {found[3]:,} votes on input {composed.idx[mine][worst]} are for "
            f"class {candidate[worst]}, and {found[0]:,} by the expert; name the expert's own log"
        )

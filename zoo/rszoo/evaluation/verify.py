"""Is a certification log true? Certify a sample of its inputs again, with other noise.

That every radius follows from its row's counts is checked whenever a log is read; the counts
themselves are what is put to the test here.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rszoo.errors import DataError
from rszoo.evaluation.certify import Input
from rszoo.evaluation.log import LogTable
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.certificate import ABSTAIN, Certificate, Experts, Routing
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.dual import DualClassifier
from rszoo.smoothing.experts import ExpertsClassifier
from rszoo.smoothing.interface import Classifier
from rszoo.smoothing.noise import Stream
from rszoo.theory.bounds import binomial_lower_tail, same_proportion_p_value
from rszoo.theory.radii import needed_probability

__all__ = ["Finding", "fresh_seed", "recertify", "sample"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What certifying one input again says of its row.

    Attributes:
        idx: the input.
        votes, draws: of the log's row, on its candidate.
        new_votes, new_draws: of the repetition, on the same class.
        p_value: small if the row is false, see `recertify`.
        agrees: whether the p-value is no smaller than this input's share of the level.
    """

    idx: int
    votes: int
    draws: int
    new_votes: int
    new_draws: int
    p_value: float
    agrees: bool


def fresh_seed(log: LogTable) -> int:
    """Return a random seed, other than the one the log was made with."""
    used = (log.protocol or {}).get("seed")
    while (seed := secrets.randbelow(2**31)) == used:
        pass
    return seed


def sample(log: LogTable, inputs: Sequence[Input], *, count: int, seed: int) -> list[Input]:
    """Return at most `count` of the inputs that a log lists, drawn at random.

    Raises:
        DataError: the log holds no counts, or lists an input that is not given, or another label
            of it than the true one.
    """
    if log.votes is None:
        raise DataError(f"{log.path}: expected a log with counts, got one without")
    given = {one.idx: one for one in inputs}
    missing = [idx for idx in log.idx.tolist() if idx not in given]
    if missing:
        raise DataError(f"{log.path}: expected inputs of the data set, got idx {missing[0]}")
    for idx, label in zip(log.idx.tolist(), log.label.tolist(), strict=True):
        if given[idx].label != label:
            raise DataError(
                f"{log.path}: expected label={given[idx].label} of input {idx}, got {label}"
            )
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(log.idx[_own_rows(log)])[:count]
    return [given[idx] for idx in sorted(chosen.tolist())]


def recertify(
    classifier: Classifier,
    log: LogTable,
    inputs: Sequence[Input],
    *,
    draws: int,
    level: float,
    seed: int,
    on_draws: Callable[[int], None] | None = None,
) -> Iterator[Finding]:
    """Draw anew for inputs of a log; yield what that says of each.

    A row that rests on all of its n draws is compared by Fisher's exact test: were its votes and
    the new ones of the same proportion? Of a row that was decided early, whose votes depend on
    when it was stopped, the claim is tested: is the proportion above its bound? So are those
    of a router and of further experts, beside the votes of the first.

    Guarantee:
        If all rows are true, the probability that any of them is found to disagree is at most
        `level` (Bonferroni's inequality over the inputs), plus, for rows decided early, the
        probability alpha of each certificate to be wrong by chance.

    Args:
        classifier: the one that the log is about.
        log: with counts.
        inputs: those to certify again, from `sample`.
        draws: fresh draws per input.
        level: of the whole family of tests, in (0, 1).
        seed: other than the log's.
        on_draws: called with the number of draws as they are done.
    """
    rows = {idx: row for row, idx in enumerate(log.idx.tolist())}
    share = level / len(inputs)
    for one in inputs:
        old = log.certificate(rows[one.idx])
        image = one.image()
        votes = _expert(classifier, old).votes(image, n=draws, seed=seed, on_progress=on_draws)
        new = votes[old.candidate]
        p_values = [_p_value(old, new, draws, early=log.tested is not None)]
        if isinstance(classifier, ExpertsClassifier) and old.label != ABSTAIN:
            p_values += _routing_p_values(classifier, image, old, draws=draws, seed=seed)
        p_value = min(1.0, len(p_values) * min(p_values))
        yield Finding(
            idx=one.idx,
            votes=old.votes,
            draws=old.draws,
            new_votes=new,
            new_draws=draws,
            p_value=p_value,
            agrees=p_value >= share,
        )


def _own_rows(log: LogTable) -> NDArray[np.bool_]:
    """Return which rows' votes were drawn for their own input, and not for an earlier region."""
    if log.per_input is None:
        return np.ones(len(log), dtype=bool)
    return log.per_input["source"] == log.per_input["order"]


def _expert(classifier: Classifier, old: Certificate) -> SmoothedClassifier:
    """Return who drew the votes of a row.

    Raises:
        DataError: the row is of another kind of classifier, or of other experts.
    """
    if isinstance(classifier, SmoothedClassifier) and old.routing is None:
        # Its own noise, or that which was searched for the row's input.
        return _with_sigma(classifier if old.per_input is None else classifier.at(old.sigma), old)
    if isinstance(classifier, ExpertsClassifier) and old.routing is not None:
        same_kind = isinstance(classifier, DualClassifier) == isinstance(old.routing, Routing)
        if same_kind and old.routing.experts == len(classifier.experts):
            return _with_sigma(classifier.experts[old.routing.expert_level], old)
    raise DataError("expected a log of this kind of model, with its experts, got another")


def _with_sigma(classifier: SmoothedClassifier, old: Certificate) -> SmoothedClassifier:
    """Return it, if it has the noise of the row: no votes can tell."""
    if old.sigma != classifier.applied_sigma:
        raise DataError(
            f"expected rows with sigma {classifier.applied_sigma}, that of the model, got "
            f"{old.sigma}"
        )
    return classifier


def _routing_p_values(
    classifier: ExpertsClassifier, image: Tensor, old: Certificate, *, draws: int, seed: int
) -> list[float]:
    """Return, for each other part of a certificate, how likely the new votes are if it holds.

    The router makes two claims at once: no level below, and none above. So does an expert of a
    cascade: none of the other classes has half of its noise. An abstention claims nothing of them.
    """
    claim = old.routing
    assert claim is not None
    found = []
    for other in claim.others:
        expert = classifier.experts[other.level]
        votes = expert.votes(image, n=draws, seed=seed)
        agreeing = [votes[old.candidate]]
        if isinstance(classifier, CascadeClassifier):
            agreeing = [draws - count for c, count in enumerate(votes) if c != old.candidate]
        found += [
            _claim_p_value(count, draws, other.radius, expert.applied_sigma) for count in agreeing
        ]
    if isinstance(classifier, DualClassifier):
        found += _router_p_values(classifier.router, image, claim, draws=draws, seed=seed)
    return found


def _router_p_values(
    router: SmoothedClassifier, image: Tensor, claim: Experts, *, draws: int, seed: int
) -> list[float]:
    assert isinstance(claim, Routing)
    if not claim.router_draws:
        return []
    votes = router.votes(image, n=draws, seed=seed, stream=Stream.ROUTER_ESTIMATION)
    sides = (votes[: claim.highest_level + 1], votes[claim.lowest_level :])
    return [
        _claim_p_value(sum(side), draws, claim.router_radius, router.applied_sigma)
        for side in sides
    ]


def _claim_p_value(votes: int, draws: int, radius: float, sigma: float) -> float:
    """Return how likely so few votes are where an event really reaches as far as `radius`."""
    return binomial_lower_tail(votes, draws, needed_probability(radius, sigma))


def _p_value(old: Certificate, new: int, draws: int, *, early: bool) -> float:
    if early:
        return binomial_lower_tail(new, draws, old.p_lower)
    return same_proportion_p_value(old.votes, old.draws, new, draws)

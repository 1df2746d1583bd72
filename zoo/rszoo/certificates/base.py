"""Certificates and predictions of one input, and what counts of votes say of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rszoo.theory.bounds import clopper_pearson_lower, majority_p_value
from rszoo.theory.radii import certified_radius

__all__ = [
    "ABSTAIN",
    "Certificate",
    "Details",
    "Prediction",
    "applied_sigma",
    "certificate_from_bound",
    "certificate_from_votes",
    "prediction_from_votes",
]

#: The label of an answer that could not be given with the confidence asked for.
ABSTAIN = -1


@dataclass(frozen=True, kw_only=True)
class Details:
    """What a kind of certificate holds beside the fields of all; a kind adds its own fields.

    The names of the fields are those of the kind's columns in a log.
    """


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """The answer of CERTIFY for one input, with the evidence it rests on.

    Attributes:
        label: the certified class, or `ABSTAIN`.
        radius: certified L2 radius, in pixel units with images in [0, 1]; 0 when abstaining.
        p_lower: lower confidence bound on the probability of `candidate` under noise.
        candidate: the class selected on the first `n0` draws.
        votes: how many of the first `draws` estimation draws fell on `candidate`.
        n0, n: draws for selection, and how many for estimation at most.
        alpha: probability that the statement is wrong.
        sigma: standard deviation of the noise.
        draws: how many estimation draws the statement rests on; `n` unless it was decided early.
        spent: how many estimation draws were made before nothing was left to decide.
        details: what the certificate's kind adds, see `rszoo.certificates.kinds`; None where the
            votes of one network say all. Of several networks, the fields above but `label`,
            `radius` and `alpha` are those of the one that answers.
        class_name: what `label` is called, where the classifier says it; None for an abstention.
            It is no part of the statement: certificates are equal whatever they call the class.
    """

    label: int
    radius: float
    p_lower: float
    candidate: int
    votes: int
    n0: int
    n: int
    alpha: float
    sigma: float
    draws: int
    spent: int
    details: Details | None = None
    class_name: str | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The answer of PREDICT for one input.

    Attributes:
        label: the smoothed classifier's class, or `ABSTAIN`.
        votes, runner_up_votes: draws on the most and on the second most frequent class; of a mixed
            classifier, on the class of the largest and of the second largest mix.
        p_value: of the test that these two classes are equally likely; of a mixed classifier, the
            smallest `alpha` at which its class is certain.
        n: draws.
        alpha: probability that `label` is not the smoothed classifier's class.
        sigma: standard deviation of the noise.
    """

    label: int
    votes: int
    runner_up_votes: int
    p_value: float
    n: int
    alpha: float
    sigma: float


def applied_sigma(sigma: float) -> float:
    """Return the sigma of certificates: noise is scaled in float32, 0.12 is 0.1199999973.

    >>> applied_sigma(0.5), applied_sigma(0.12) < 0.12
    (0.5, True)
    """
    return min(sigma, float(np.float32(sigma)))


def certificate_from_votes(
    candidate: int, votes: int, *, n0: int, n: int, alpha: float, sigma: float
) -> Certificate:
    """Return what `votes` of `n` fresh draws on `candidate` certify.

    Guarantee:
        With probability at least 1 - alpha over the draws: the certificate abstains, or the
        smoothed classifier answers `label` at every point closer than `radius`. It assumes that
        the `n` draws are independent of each other and of the choice of `candidate`, and each
        answered alone: not by a network that looks at its batch.

    Raises:
        ValueError: counts, alpha or sigma out of range.

    >>> certificate_from_votes(3, 1000, n0=100, n=1000, alpha=0.001, sigma=0.25).label
    3
    >>> certificate_from_votes(3, 500, n0=100, n=1000, alpha=0.001, sigma=0.25).label
    -1
    """
    p_lower = clopper_pearson_lower(votes, n, alpha)
    return certificate_from_bound(
        p_lower, candidate=candidate, votes=votes, n0=n0, n=n, alpha=alpha, sigma=sigma
    )


def certificate_from_bound(
    p_lower: float, *, candidate: int, votes: int, n0: int, n: int, alpha: float, sigma: float
) -> Certificate:
    """Return what a lower bound on the probability of a candidate certifies.

    Guarantee:
        That of `certificate_from_votes`, for `p_lower` at most the bound that the votes give.

    Raises:
        ValueError: the bound or sigma out of range.
    """
    certified = p_lower >= 0.5
    return Certificate(
        label=candidate if certified else ABSTAIN,
        radius=certified_radius(p_lower, sigma) if certified else 0.0,
        p_lower=p_lower,
        candidate=candidate,
        votes=votes,
        n0=n0,
        n=n,
        alpha=alpha,
        sigma=sigma,
        draws=n,
        spent=n,
    )


def prediction_from_votes(votes: Sequence[int], *, alpha: float, sigma: float) -> Prediction:
    """Return what votes say of the most probable class (PREDICT of Cohen et al., 2019).

    Guarantee:
        With probability at least 1 - alpha over the draws: the prediction abstains, or its label
        is the smoothed classifier's class. It assumes that the draws are independent, and each
        answered alone: not by a network that looks at its batch.

    Args:
        votes: draws on each class.
        alpha, sigma: see `Prediction`.
    """
    top, runner_up = sorted(votes, reverse=True)[:2]
    p_value = majority_p_value(top, runner_up)
    return Prediction(
        label=votes.index(top) if p_value <= alpha else ABSTAIN,
        votes=top,
        runner_up_votes=runner_up,
        p_value=p_value,
        n=sum(votes),
        alpha=alpha,
        sigma=sigma,
    )

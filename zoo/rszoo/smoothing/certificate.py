"""What a smoothed classifier says about one input. Free of torch, so that logs can use it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rszoo.theory.bounds import clopper_pearson_lower, majority_p_value
from rszoo.theory.mixing import mixed_radius
from rszoo.theory.radii import certified_radius

__all__ = [
    "ABSTAIN",
    "Certificate",
    "Experts",
    "PerInput",
    "Prediction",
    "Reach",
    "Routing",
    "applied_sigma",
    "certificate_from_votes",
    "mixed_certificate",
    "prediction_from_votes",
]

#: The label of an answer that could not be given with the confidence asked for.
ABSTAIN = -1


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far an expert certainly agrees with the class of another one, by a sequential test.

    It agrees where it answers that class or, in a cascade, where it is sure of no other.

    Attributes:
        level: the expert, from 0.
        sigma: standard deviation of its noise.
        radius: within it the expert certainly agrees; pixel units.
        votes, draws, spent: as in a `Certificate`; in a cascade, the votes are all but those for
            the most frequent other class.
    """

    level: int
    sigma: float
    radius: float
    votes: int
    draws: int
    spent: int


@dataclass(frozen=True, kw_only=True)
class Experts:
    """What a certificate rests on that was given by one of several experts.

    Attributes:
        experts: how many there are.
        expert_level: the one that the fields of the `Certificate` are about, from 0.
        expert_radius: within it that expert certainly answers `candidate`; pixel units.
        others: what the other experts that matter say of `candidate`: those of higher levels or,
            with a router, those between its levels. Fewer where one more was not needed to
            abstain.
    """

    experts: int
    expert_level: int
    expert_radius: float
    others: tuple[Reach, ...]


@dataclass(frozen=True, kw_only=True)
class Routing(Experts):
    """What a router adds to the certificate of an expert.

    Attributes:
        experts, expert_level, expert_radius, others: see `Experts`.
        lowest_level, highest_level: the router certainly chooses one of these, from 0.
        router_radius: within it the router certainly chooses no other level; pixel units. Of no
            meaning where the levels are all there are.
        router_votes, router_draws, router_spent: as `votes`, `draws` and `spent` of a
            `Certificate`; 0 where nothing was left to decide.
        router_sigma: standard deviation of the router's noise.
    """

    lowest_level: int
    highest_level: int
    router_radius: float
    router_votes: int
    router_draws: int
    router_spent: int
    router_sigma: float


@dataclass(frozen=True, kw_only=True)
class PerInput:
    """What a certificate says where the noise level was searched for the input alone.

    Attributes:
        nominal_radius: what would be certified if every input had this noise level. The `radius`
            is no larger, and 0 where nothing makes the search sound.
        order: place of the answer among those that a memory holds, from 0; None without a memory.
        source: place of the answer whose evidence this is: its own, or that of the earlier region
            which the input lies in; None without a memory.
    """

    nominal_radius: float
    order: int | None = None
    source: int | None = None

    @property
    def nominal(self) -> bool:
        """Whether radius 0 is all that is certified."""
        return self.order is None


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
        routing: of a cascade or, with what its router adds, of a dual classifier, else None; the
            fields above but `label`, `radius` and `alpha` are then those of the expert.
        alpha_mix: of a mixed classifier, else None: the least weight of its smoothed part, which
            the fields but `label` and `radius` are about.
        per_input: where sigma was searched for this input, else None.
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
    routing: Experts | None = None
    alpha_mix: float | None = None
    per_input: PerInput | None = None


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
        the `n` draws are independent of each other and of the choice of `candidate`.

    Raises:
        ValueError: counts, alpha or sigma out of range.

    >>> certificate_from_votes(3, 1000, n0=100, n=1000, alpha=0.001, sigma=0.25).label
    3
    >>> certificate_from_votes(3, 500, n0=100, n=1000, alpha=0.001, sigma=0.25).label
    -1
    """
    p_lower = clopper_pearson_lower(votes, n, alpha)
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
        is the smoothed classifier's class.

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


def mixed_certificate(robust: Certificate, *, alpha_mix: float) -> Certificate:
    """Return what a certificate of the robust part of a mix says of the mix.

    Guarantee:
        Whenever the bound `p_lower` of `robust` holds: the result abstains, or the mix answers
        `label` at every point closer than `radius`; see `rszoo.theory.mixing.mixed_radius`.

    Args:
        robust: from all its draws.
        alpha_mix: what the weight of the robust part is at least, in (1/2, 1].

    Raises:
        ValueError: the weight is out of range.
    """
    radius = mixed_radius(robust.p_lower, robust.sigma, alpha_mix)
    return replace(
        robust,
        label=robust.candidate if radius > 0.0 else ABSTAIN,
        radius=radius,
        alpha_mix=alpha_mix,
    )

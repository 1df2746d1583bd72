"""How often a prediction is wrong, by counting all that can happen: at most alpha.

Votes are put in the place of the networks', so that the truth may lie where it is mistaken most:
just beside one half. The levels are chosen such that tests of 10 draws err nearly as often as they
may; each prediction is also made with more than its share of alpha, which is then exceeded.
"""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import product
from typing import Any

import pytest
import torch
from scipy.stats import binom, binomtest
from torch import Tensor, nn

from rszoo.certificates.base import ABSTAIN
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.dual import DualClassifier
from rszoo.smoothing.interface import Classifier
from rszoo.smoothing.level_sets import certain_levels

N = 10
#: A one-sided test of 10 draws errs with 56 / 1024 = 0.0547 at a level of 0.055.
ALPHA = 0.11

Votes = tuple[list[int], float]


class Scripted(SmoothedClassifier):
    """A smoothed classifier whose votes are given."""

    def __init__(self, classes: int, *, sigma: float = 0.5) -> None:
        super().__init__(nn.Identity(), sigma=sigma, num_classes=classes, device="cpu")
        self.given: list[int] = []

    def running(self, image: Tensor, looks: Sequence[int], **_: Any) -> Generator[list[int]]:
        yield self.given


def between(first: int, second: int, classes: int) -> Iterator[Votes]:
    """Votes of a network that is torn between two classes."""
    for k in range(N + 1):
        votes = [0] * classes
        votes[first], votes[second] = k, N - k
        yield votes, float(binom.pmf(k, N, 0.5))


def half(one: int, classes: int) -> Iterator[Votes]:
    """Votes of a network with half on one class, the rest on so many that no two are the same."""
    for k in range(N + 1):
        votes = [1] * (N - k) + [0] * (classes - N + k)
        votes[one], votes[-1] = k, votes[one]
        yield votes, float(binom.pmf(k, N, 0.5))


def certain(one: int, classes: int) -> Iterator[Votes]:
    votes = [0] * classes
    votes[one] = N
    yield votes, 1.0


def error(
    classifier: Classifier,
    parts: Sequence[Scripted],
    votes: Sequence[Iterator[Votes]],
    *,
    truth: int,
    alpha: float,
) -> float:
    """Return the probability that a prediction is neither the truth nor an abstention."""
    predict = classifier.predictor(n=N, alpha=alpha, seed=0)
    wrong = 0.0
    for case in product(*(list(one) for one in votes)):
        for part, (given, _) in zip(parts, case, strict=True):
            part.given = given
        if predict(torch.zeros(1)).label not in (truth, ABSTAIN):
            wrong += math.prod(chance for _, chance in case)
    return wrong


def cascade_error(alpha: float) -> float:
    """Two experts with just not more than half on class 0, and a last one with class 1 ahead."""
    classes = N + 2
    experts = [Scripted(classes, sigma=sigma) for sigma in (0.25, 0.5, 1.0)]
    votes = [between(0, 1, classes), half(0, classes), half(0, classes)]
    return error(CascadeClassifier(experts), experts, votes, truth=1, alpha=alpha)


def dual_error(alpha: float) -> float:
    """A router whose median is just the middle one of three experts, which is torn itself."""
    experts, router = [Scripted(2) for _ in range(3)], Scripted(3)
    votes = [certain(0, 2), between(0, 1, 2), certain(0, 2), between(0, 2, 3)]
    classifier = DualClassifier(experts, router)
    return error(classifier, [*experts, router], votes, truth=1, alpha=alpha)


@pytest.mark.parametrize(("found", "parts"), [(cascade_error, 3), (dual_error, 2)])
def test_the_parts_of_a_prediction_share_alpha(
    found: Callable[[float], float], parts: int
) -> None:
    assert 0.02 < found(ALPHA) <= ALPHA
    assert found(parts * ALPHA) > ALPHA  # what it would be if each part had all of it


def levels_error(alpha: float) -> float:
    """The same router alone: how often the set of levels leaves its median out."""
    return sum(
        chance
        for votes, chance in between(0, 2, 3)
        if 1 not in certain_levels(votes, alpha).levels
    )


def test_both_sides_of_a_median_share_alpha() -> None:
    assert 0.02 < levels_error(0.06) <= 0.06
    assert levels_error(2 * 0.06) > 0.06


def test_one_network_errs_with_half_of_alpha_at_most() -> None:
    """Of two classes that are equally probable, the wrong one is proven on one side alone."""
    part = Scripted(2)
    assert error(part, [part], [between(0, 1, 2)], truth=1, alpha=ALPHA) == pytest.approx(
        56 / 1024
    )


def label(
    classifier: Classifier, parts: Sequence[Scripted], votes: Sequence[list[int]], alpha: float
) -> int:
    for part, given in zip(parts, votes, strict=True):
        part.given = given
    return classifier.predictor(n=N, alpha=alpha, seed=0)(torch.zeros(1)).label


@pytest.mark.parametrize("agreeing", [8, 9, N])
def test_an_expert_is_believed_at_its_share_and_not_below(agreeing: int) -> None:
    experts, router = [Scripted(2, sigma=sigma) for sigma in (0.25, 0.5)], Scripted(2)
    dual = DualClassifier(experts, router)
    certain_of_the_first = [[N - agreeing, agreeing], [N, 0], [N, 0]]
    level = binomtest(agreeing, N).pvalue
    for alpha, expected in ((2 * level * 0.999, ABSTAIN), (2 * level * 1.001, 1)):
        assert label(dual, [*experts, router], certain_of_the_first, alpha) == expected

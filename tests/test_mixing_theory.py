"""Radii of a mix: a table of values, high precision, and what is true of every pair of them."""

import math
import random

import mpmath
import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from rszoo.theory.mixing import mixed_p_value, mixed_radius, published_mixed_radius
from rszoo.theory.radii import certified_radius


@pytest.mark.parametrize(
    ("alpha_mix", "p", "published", "larger"),
    [
        (0.6, 0.99, 0.238, 1.359),
        (0.67, 0.999, 0.438, 2.427),
        (0.76, 0.9, 0.479, 0.875),
        (0.76, 0.99, 0.682, 1.920),
        (0.76, 0.999, 0.704, 2.684),
        (0.9, 0.99, 1.232, 2.187),
        (1.0, 0.999, 3.090, 3.090),
    ],
)
@pytest.mark.parametrize("sigma", [0.25, 1.0])
def test_known_values(
    alpha_mix: float, p: float, published: float, larger: float, sigma: float
) -> None:
    assert mixed_radius(p, sigma, alpha_mix) / sigma == pytest.approx(larger, abs=6e-4)
    assert published_mixed_radius(p, sigma, alpha_mix) / sigma == pytest.approx(
        published, abs=6e-4
    )


def cases(count: int) -> list[tuple[float, float, float]]:
    """Probabilities, sigmas and weights, many at the ends of their ranges."""
    draw = random.Random(3)
    weights = [
        lambda: 0.5 + 10 ** -draw.uniform(1, 12),
        lambda: 1 - 10 ** -draw.uniform(1, 12),
        lambda: draw.uniform(0.5, 1),
        lambda: 1.0,
    ]
    probabilities = [
        lambda: 0.5 + 10 ** -draw.uniform(1, 12),
        lambda: 1 - 10 ** -draw.uniform(1, 15),
        lambda: draw.uniform(0.4, 1),
    ]
    return [
        (probabilities[i % 3](), draw.uniform(0.01, 4), weights[i % 4]()) for i in range(count)
    ]


def quantile(p: mpmath.mpf) -> mpmath.mpf:
    return mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1)


def test_never_above_the_exact_radius_and_not_far_below() -> None:
    positive = 0
    for p, sigma, alpha_mix in cases(480):
        with mpmath.workdps(50):
            bound = quantile(1 / (2 * mpmath.mpf(alpha_mix)))
            exact = mpmath.mpf(sigma) * (quantile(mpmath.mpf(p)) - bound)
            radius = mixed_radius(p, sigma, alpha_mix)
            if exact <= 0:
                assert radius == 0
                continue
            positive += 1
            assert exact - 1e-9 * sigma < radius <= exact
    assert positive > 120


def test_the_published_radius_is_never_above_its_exact_value() -> None:
    for p, sigma, alpha_mix in cases(300):
        other = (1 - p) / 2
        radius = published_mixed_radius(p, sigma, alpha_mix, p_upper=other)
        with mpmath.workdps(50):
            a, q = mpmath.mpf(alpha_mix), mpmath.mpf(other)
            exact = mpmath.mpf(sigma) / 2 * (quantile(a * p) - quantile(a * q + 1 - a))
            assert radius <= max(exact, 0)
            if p < 1 - 1e-9:  # beyond, the rounding of the product costs more
                assert radius > exact - 1e-2 * sigma


def test_the_radius_is_never_below_the_published_one() -> None:
    wider = 0
    for p, sigma, alpha_mix in cases(3000):
        published = published_mixed_radius(p, sigma, alpha_mix)
        larger = mixed_radius(p, sigma, alpha_mix)
        assert larger >= published - 1e-9 * sigma
        wider += larger > published + 0.01 * sigma
    assert wider > 500


def test_a_second_bound_gives_the_published_radius_for_more_than_two_classes() -> None:
    expected = 0.5 / 2 * (ndtri(0.76 * 0.9) - ndtri(0.76 * 0.02 + 0.24))
    assert published_mixed_radius(0.9, 0.5, 0.76, p_upper=0.02) == pytest.approx(expected)


@pytest.mark.parametrize("p", [0.5, 0.51, 0.9, 0.999])
def test_all_weight_on_the_robust_part_is_its_radius(p: float) -> None:
    assert mixed_radius(p, 0.5, 1.0) == pytest.approx(certified_radius(p, 0.5), abs=1e-11)
    assert mixed_radius(p, 0.5, 1.0) <= certified_radius(p, 0.5)


@pytest.mark.parametrize("alpha_mix", [0.501, 0.6, 0.76, 0.9])
def test_both_radii_begin_where_the_standard_part_is_outvoted(alpha_mix: float) -> None:
    edge = 1 / (2 * alpha_mix)
    for radius in (mixed_radius, published_mixed_radius):
        assert radius(edge - 1e-6, 1.0, alpha_mix) == 0.0
        assert radius(edge + 1e-4, 1.0, alpha_mix) > 0.0


def test_it_grows_with_the_weight() -> None:
    radii = [mixed_radius(0.99, 0.5, weight) for weight in np.linspace(0.51, 1, 30)]
    assert radii == sorted(radii)
    assert len(set(radii)) == 30


@pytest.mark.parametrize("function", [mixed_radius, published_mixed_radius])
@pytest.mark.parametrize("alpha_mix", [0.5, 0.3, 0.0, -1.0, 1.01, math.nan, math.inf])
def test_weights_that_certify_nothing_are_refused(function: object, alpha_mix: float) -> None:
    with pytest.raises(ValueError, match="expected 1/2 < alpha_mix <= 1"):
        function(0.99, 0.5, alpha_mix)  # type: ignore[operator]


@pytest.mark.parametrize("function", [mixed_radius, published_mixed_radius])
@pytest.mark.parametrize(("p", "sigma"), [(1.0, 0.5), (-0.1, 0.5), (math.nan, 0.5), (0.9, 0.0)])
def test_other_values_out_of_range_are_refused(function: object, p: float, sigma: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        function(p, sigma, 0.76)  # type: ignore[operator]


def exact_answer(h: np.ndarray, g: np.ndarray, weight: float) -> int:
    return int(np.argmax((1 - weight) * g + weight * h))


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.76, 1.0])
@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_an_answer_is_wrong_at_most_as_often_as_allowed(weight: float, alpha: float) -> None:
    """With the label chosen by the same votes, close to a tie of the mix."""
    rng = np.random.default_rng(1)
    trials, wrong, answered = 300, 0, 0
    for _ in range(trials):
        h, g = rng.dirichlet([5, 5, 1, 1]), rng.dirichlet([5, 5, 1, 1])
        votes = rng.multinomial(100, h)
        label = exact_answer(votes / 100, g, weight)
        p_value = mixed_p_value(label, standard=g.tolist(), votes=votes.tolist(), alpha_mix=weight)
        if p_value <= alpha:
            answered += 1
            wrong += label != exact_answer(h, g, weight)
    assert answered > 0.02 * trials
    assert wrong <= alpha * trials


def test_the_p_value_is_the_level_at_which_the_intervals_part() -> None:
    """Two classes and no standard part: the lower end of Clopper and Pearson passes 1/2."""
    p_value = mixed_p_value(1, standard=[0.5, 0.5], votes=[20, 80], alpha_mix=1.0)
    tail = sum(math.comb(100, k) for k in range(80, 101)) / 2**100
    # Four bounds, two for each class.
    assert p_value == pytest.approx(4 * tail, rel=1e-6)


def test_the_standard_part_moves_the_p_value() -> None:
    def p_value(opposed: float) -> float:
        standard = [1 - opposed, opposed]
        return mixed_p_value(0, standard=standard, votes=[90, 10], alpha_mix=0.76)

    values = [p_value(opposed) for opposed in (0.2, 0.5, 0.8, 1.0)]
    assert values == sorted(values)
    assert values[0] < 0.01 * values[-1]
    assert mixed_p_value(0, standard=[0.0, 1.0], votes=[60, 40], alpha_mix=0.76) == 1.0
    assert mixed_p_value(0, standard=[0.9, 0.1], votes=[0, 1], alpha_mix=0.0) == 1e-12


def test_the_lemma_is_tight() -> None:
    """A standard part that opposes everywhere wins just beyond the radius, and not before."""
    p, alpha_mix = 0.97, 0.7
    radius = mixed_radius(p, 1.0, alpha_mix)
    for distance, answer in ((radius - 1e-6, 0), (radius + 1e-6, 1)):
        own = ndtr(ndtri(p) - distance)
        assert exact_answer(np.array([own, 1 - own]), np.array([0.0, 1.0]), alpha_mix) == answer

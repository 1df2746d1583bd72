"""Radii in closed form, against high precision, and the rule that nothing is rounded up."""

import math
import random
import re
from decimal import Decimal

import mpmath
import numpy as np
import pytest

from rszoo.theory.radii import (
    certified_radius,
    largest_radius,
    linf_radius,
    needed_probability,
)

# Phi^-1 of the probability, from tables of the normal distribution.
QUANTILES = [
    (0.75, 0.6744897501960817),
    (0.8413447460685429, 1.0),
    (0.975, 1.959963984540054),
    (0.99, 2.3263478740408408),
    (0.999, 3.090232306167813),
]


@pytest.mark.parametrize(("p_lower", "quantile"), QUANTILES)
@pytest.mark.parametrize("sigma", [0.12, 0.25, 1.0, 3.5])
def test_closed_form(p_lower: float, quantile: float, sigma: float) -> None:
    assert certified_radius(p_lower, sigma) == pytest.approx(sigma * quantile, rel=1e-11)


@pytest.mark.parametrize("p_lower", [0.0, 0.3, 0.4999999999, 0.5])
def test_no_majority_has_radius_zero(p_lower: float) -> None:
    assert certified_radius(p_lower, 0.5) == 0.0


def probabilities(count: int) -> list[float]:
    """Probabilities in (1/2, 1), many of them close to either end."""
    draw = random.Random(7)
    kinds = [
        lambda: 0.5 + 10 ** -draw.uniform(1, 15),
        lambda: 1 - 10 ** -draw.uniform(1, 15.5),
        lambda: draw.uniform(0.5, 1),
    ]
    return [math.nextafter(0.5, 1), math.nextafter(1.0, 0)] + [
        kinds[i % 3]() for i in range(count)
    ]


def test_never_above_the_exact_radius_and_not_far_below() -> None:
    draw = random.Random(8)
    for p_lower in probabilities(1500):
        sigma = draw.uniform(0.01, 4)
        radius = certified_radius(p_lower, sigma)
        with mpmath.workdps(50):
            quantile = mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(p_lower) - 1)
            exact = mpmath.mpf(sigma) * quantile
            assert exact * (1 - mpmath.mpf(2) ** -38) < radius <= exact


@pytest.mark.parametrize(
    ("p_lower", "sigma", "message"),
    [
        (1.0, 0.5, "expected 0 <= p_lower < 1, got p_lower=1.0"),
        (-0.1, 0.5, "expected 0 <= p_lower < 1, got p_lower=-0.1"),
        (math.nan, 0.5, "expected 0 <= p_lower < 1, got p_lower=nan"),
        (0.9, 0.0, "expected a positive finite sigma, got sigma=0.0"),
        (0.9, -1.0, "expected a positive finite sigma, got sigma=-1.0"),
        (0.9, math.inf, "expected a positive finite sigma, got sigma=inf"),
        (0.9, math.nan, "expected a positive finite sigma, got sigma=nan"),
        (0.4, 0.0, "expected a positive finite sigma, got sigma=0.0"),
    ],
)
def test_bad_arguments(p_lower: float, sigma: float, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        certified_radius(p_lower, sigma)


@pytest.mark.parametrize(
    ("alpha", "n", "units_of_sigma"),
    [
        (0.001, 1_000, "2.4633"),
        (0.001, 10_000, "3.1986"),
        (0.001, 100_000, "3.8115"),
        (0.001, 1_000_000, "4.3468"),
        (0.0005, 1_000, "2.4289"),
        (0.0005, 10_000, "3.1709"),
        (0.0005, 100_000, "3.7878"),
        (0.0005, 1_000_000, "4.3257"),
        (0.01, 1_000, "2.6049"),
        (0.01, 10_000, "3.3137"),
        (0.01, 100_000, "3.9105"),
        (0.01, 1_000_000, "4.4349"),
    ],
)
def test_largest_radius(alpha: float, n: int, units_of_sigma: str) -> None:
    radius = largest_radius(n, alpha, 1.0)
    assert f"{radius:.4f}" == units_of_sigma
    assert largest_radius(n, alpha, 0.25) == radius / 4
    with mpmath.workdps(40):
        p_lower = mpmath.root(mpmath.mpf(alpha), n)
        assert radius <= mpmath.sqrt(2) * mpmath.erfinv(2 * p_lower - 1)


def test_the_needed_probability_is_never_below_the_exact_one() -> None:
    rng = np.random.default_rng(0)
    with mpmath.workdps(40):
        for radius in rng.uniform(0.0, 6.0, 2000).tolist():
            needed = needed_probability(radius, 1.0)
            assert mpmath.mpf(needed) >= mpmath.ncdf(mpmath.mpf(radius))
            assert needed <= float(mpmath.ncdf(mpmath.mpf(radius))) + 1e-11


def test_the_linf_radius_is_never_above_the_exact_one() -> None:
    for radius, numbers in ((0.25, 3072), (1.9, 784), (1e-9, 7), (3.0, 1)):
        found = Decimal(linf_radius(radius, numbers))
        assert found**2 * numbers < Decimal(radius) ** 2  # its corner lies inside the L2 ball
        assert float(found) == pytest.approx(radius / math.sqrt(numbers))
    assert linf_radius(0.0, 4) == 0.0
    for radius, numbers in ((-1.0, 4), (math.inf, 4), (1.0, 0)):
        with pytest.raises(ValueError, match=r"expected a finite radius >= 0 and numbers >= 1"):
            linf_radius(radius, numbers)

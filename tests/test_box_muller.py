"""What normal numbers of coarse uniform ones leave out: by enumeration, by hand, side by side."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from rszoo.smoothing.lattice import misplaced_share
from rszoo.smoothing.schemes.counter import counter_shortfall
from rszoo.smoothing.schemes.generator import generator_shortfall
from rszoo.theory.box_muller import coarse_share, furthest, unreached_share

PAGE = Path(__file__).parents[1] / "docs/certification.md"


def test_the_furthest_norm_by_hand() -> None:
    for bits, norm in ((24, 5.768107546403532), (33, 6.763705635), (53, 8.571674348652905)):
        assert furthest(2.0**-bits) == pytest.approx(math.sqrt(2 * bits * math.log(2)), rel=1e-15)
        assert furthest(2.0**-bits) == pytest.approx(norm, rel=1e-9)


def test_two_numbers_are_beyond_the_furthest_norm_as_often_as_the_smallest_is_small() -> None:
    assert unreached_share(2, smallest=0.125) == pytest.approx(0.125, rel=1e-15)
    assert unreached_share(4, smallest=0.125) == pytest.approx(1 - 0.875**2, rel=1e-15)
    normal = np.random.default_rng(3).standard_normal((200_000, 2, 2))
    beyond = (np.hypot(*normal.T) > furthest(0.125)).any(0).mean()
    assert beyond == pytest.approx(1 - 0.875**2, abs=4 * math.sqrt(0.18 / 200_000))


def test_the_coarse_share_by_enumeration() -> None:
    step = 2.0**-12
    ends = np.sqrt(-2 * np.log(np.arange(1, 4097) * step))
    for spacing in (0.03, 0.05, 0.1):
        apart = ends[:-1] - ends[1:] > spacing
        pair = (1 + apart.sum()) * step  # and all below the smallest
        assert apart[: apart.sum()].all()
        assert coarse_share(2, step=step, spacing=spacing) == pytest.approx(pair, rel=1e-12)
        share = 1 - (1 - pair) ** 32
        assert coarse_share(64, step=step, spacing=spacing) == pytest.approx(share, rel=1e-12)
    assert coarse_share(2, step=step, spacing=5.0) == step


def test_side_by_side_norms_differ_by_no_more_elsewhere() -> None:
    step, spacing = 2.0**-12, 0.05
    u = 1 - np.random.default_rng(4).random(300_000)
    drawn = np.sqrt(-2 * np.log(np.ceil(u / step) * step))
    off = np.sqrt(-2 * np.log(u)) - drawn
    share = coarse_share(2, step=step, spacing=spacing)
    assert (off >= 0).all()
    assert off[u > share].max() <= spacing
    assert off[u <= share].max() > 2 * spacing  # control: there they do
    assert 0.2 < (off[u <= share] > spacing).mean() < 1


def test_a_spacing_below_that_of_the_smallest_norms_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^expected spacing >= 0\.0221, got 0\.02$"):
        coarse_share(2, step=2.0**-12, spacing=0.02)


def in_words(value: float) -> str:
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa} x 10^{int(exponent)}"


@pytest.mark.parametrize("numbers", [64, 784, 3072, 150_528])
def test_the_page_states_what_is_computed(numbers: int) -> None:
    page = PAGE.read_text()
    shares = [
        generator_shortfall(numbers),
        generator_shortfall(numbers, device="cuda"),
        generator_shortfall(numbers, dtype=torch.float64),
        counter_shortfall(numbers),
    ]
    row = " | ".join([f"{numbers:,}", *map(in_words, shares)])
    assert f"| {row} |" in page
    for norm in (5.768107546403532, 6.763705635001895):
        assert in_words(math.erfc(norm / math.sqrt(2))) in page


def test_the_page_compares_with_a_hundredth_of_alpha() -> None:
    most, limit = 3 * 224 * 224, 0.001 / 100
    sound = generator_shortfall(most, dtype=torch.float64) + misplaced_share(most, 100.0)
    assert sound < limit
    assert generator_shortfall(most, device="cuda") < limit
    assert generator_shortfall(28 * 28) > limit
    words = [in_words(coarse_share(n, step=2.0**-24, spacing=0.01)) for n in (784, 3072)]
    assert all(word in PAGE.read_text() for word in words)
    assert f"{coarse_share(most, step=2.0**-24, spacing=0.01):.3f}" == "0.082"
    assert coarse_share(most, step=2.0**-53, spacing=0.01) < 1.05e-10


def test_by_counter_the_distance_is_below_a_hundredth_of_alpha() -> None:
    """In range and, but for what float32 rounds, in spacing; on the lattice too."""
    most, limit = 3 * 224 * 224, 0.001 / 100
    assert counter_shortfall(2) == 2.0**-64  # of a pair
    assert counter_shortfall(most) == pytest.approx(most / 2 * 2.0**-64, rel=1e-9)
    apart = coarse_share(most, step=2.0**-64, spacing=2.0**-24)
    assert in_words(apart) in PAGE.read_text()
    # By hand: neighbours are step / (u norm) apart, for u = exp(-norm^2 / 2).
    u = apart / (most / 2)
    assert 2.0**-64 / (u * math.sqrt(-2 * math.log(u))) == pytest.approx(2.0**-24, rel=1e-6)
    assert counter_shortfall(most) + apart + misplaced_share(most, 0.5) < limit / 100

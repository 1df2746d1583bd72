"""How claims are written: against fractions, and that nothing else writes any."""

import math
import random
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from source_formats import rounded_places

from rszoo.evaluation.leaderboard.published import published_entries
from rszoo.theory.rounding import (
    as_acr,
    as_cost,
    as_difference,
    as_error,
    as_interval,
    as_proportion,
    as_radius,
    as_range,
    as_share,
    as_share_at_most,
    as_stated,
    floor_digits,
)

ROOT = Path(__file__).parents[1]
PACKAGES = (ROOT / "zoo/rszoo", ROOT / "cli/rszoo_cli")

#: What is written otherwise, since it claims nothing of a model: `package/file.py: expression`.
NO_CLAIMS = {
    # durations, rates and sizes
    "rszoo/evaluation/formatting.py: rate",
    "rszoo/evaluation/formatting.py: seconds",
    "rszoo/evaluation/formatting.py: seconds / 3600",
    "rszoo/evaluation/formatting.py: seconds / 60",
    *("rszoo/hub_server/tables.py: value", "rszoo/hub_server/context.py: limits.slowest"),
    "rszoo/training/trainer.py: round(state.seconds, 2)",
    "rszoo_cli/runs.py: seconds",
    "rszoo_cli/sweep_shown.py: each",
    *(f"rszoo/evaluation/progress_bar.py: {name}" for name in ("left", "rate", "share", "speed")),
    # how far a training is, and its loss
    *("rszoo/training/sweep/child.py: epoch.loss", "rszoo/training/sweep/child.py: share"),
    *("rszoo_cli/train_shown.py: epoch.loss", "rszoo_cli/train_shown.py: share"),
    # where a chart is drawn
    "rszoo/evaluation/leaderboard/chart.py: round(_BOTTOM - (_BOTTOM - _TOP) * share, 1)",
    "rszoo/evaluation/leaderboard/chart.py: round(i * step, 2)",
    *(f"rszoo/evaluation/leaderboard/chart.py: y {sign} 4" for sign in "+-"),
    "rszoo_cli/exporting.py: done.onnx_difference",  # how exact other software is
    # what was expected: limits, names, settings, in messages
    *("rszoo/exchange/sanity.py: self.expected", "rszoo/exchange/sanity.py: self.sigma"),
    *("rszoo/hub/config.py: self.sigma", "rszoo/hub/kinds/ensemble.py: config.sigma"),
    "rszoo/hub/configs/network.py: SMALLEST_SIGMA",
    "rszoo/hub/kinds/_experts.py: SMALLEST_SIGMA",
    *("rszoo/smoothing/cascade.py: one.sigma", "rszoo/smoothing/dual.py: one.sigma"),
    "rszoo/smoothing/dual.py: self.router.sigma",
    "rszoo/theory/sequential.py: _SMALLEST_ALPHA",
    *(f"rszoo/training/recipes/recipe.py: {of}.sigma" for of in ("recipe", "self")),
    "rszoo/training/tasks/mixing.py: sigma",
    *(f"rszoo/training/tasks/routing.py: {name}" for name in ("alpha", "sigma")),
    "rszoo/training/tasks/votes.py: sigma",
    "rszoo/training/tracking/tracked.py: recipe.sigma",
    *(f"rszoo_cli/stopping.py: {of}" for of in ("0.01 * sigma", "10 * sigma", "sigma")),
    "rszoo_cli/usage.py: alpha",
}


def test_nothing_else_writes_claims() -> None:
    found = {*rounded_places(*PACKAGES)}
    print(*sorted(found - NO_CLAIMS), sep="\n")
    assert found <= NO_CLAIMS


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("f'{share:.1%}'", ["share"]),
        ("f'{acr:.3f} of {most:,}'", ["acr"]),
        ("f'{acr:.{digits}f}'", ["acr"]),
        ("f'{acr:{form}}'", ["acr"]),
        ("f'{sigma:g} {one.radius:g}'", ["one.radius", "sigma"]),
        ("f'{seconds:g}'", []),
        ("'{:.1f}'.format(share)", ["'{:.1f}'.format(share)"]),
        ("'%.1f' % share", ["'%.1f' % share"]),
        ("format(share, '.1f')", ["format(share, '.1f')"]),
        ("round(share, 3)", ["round(share, 3)"]),
        ("value.quantize(step)", ["value.quantize(step)"]),
        ("f'{n:,} of {name:>8} {share!r} {as_share(share)}'", []),
        ("round(share * n)", []),
        ("'{} of {}'.format(a, b)", []),
        ("'%d of %s' % (a, b)", []),
    ],
)
def test_a_format_of_its_own_is_found(tmp_path: Path, text: str, found: list[str]) -> None:
    package = tmp_path / "rszoo"
    (package / "theory").mkdir(parents=True)
    (package / "theory" / "rounding.py").write_text("f'{share:.1f}'\n")
    (package / "a.py").write_text(f"print({text})\n")
    assert rounded_places(package) == [f"rszoo/a.py: {one}" for one in found]


def test_every_counted_share_is_rounded_as_its_fraction() -> None:
    for of in (*range(1, 130), 360, 500, 999, 1000, 1024, 10_000):
        for count in range(of + 1):
            exact = Fraction(1000 * count, of)
            assert Fraction(as_share(count / of)) * 10 == math.floor(exact)
            assert Fraction(as_share_at_most(count / of)) * 10 == math.ceil(exact)
            assert (as_share(count / of) == "100.0") == (count == of)
            assert (as_share_at_most(count / of) == "0.0") == (count == 0)


def test_a_share_that_misses_one_of_very_many_is_not_all() -> None:
    assert as_share(9_996 / 10_000) == "99.9"
    assert as_share(1 - 1 / 50_000_000) == "99.9"
    assert as_share_at_most(1 / 50_000_000) == "0.1"
    assert as_share(287 / 1000) == as_share_at_most(287 / 1000) == "28.7"


def test_intervals_hold_what_they_stand_for() -> None:
    draw = random.Random(3)
    for _ in range(2000):
        low, high = sorted((draw.random(), draw.random()))
        written = [Fraction(end) / 100 for end in as_interval((low, high)).split("-")]
        assert Fraction(low) - Fraction(1, 1000) < written[0] <= Fraction(low)
        assert Fraction(high) <= written[1] < Fraction(high) + Fraction(1, 1000)


def test_differences_are_not_larger_than_they_are() -> None:
    draw = random.Random(4)
    for _ in range(2000):
        value, other = draw.uniform(-0.02, 0.02), draw.uniform(-0.02, 0.02)
        assert abs(Decimal(as_difference(value))) <= abs(Decimal(value))
        low, high = sorted((value, other))
        ends = [Decimal(end) for end in as_range(low, high).split(" to ")]
        assert ends[0] <= Decimal(low)
        assert Decimal(high) <= ends[1]
    assert as_range(-0.0191, -0.0004) == "-0.020 to +0.000"
    assert as_range(0.0, 0.012) == "+0.000 to +0.012"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0.5, "0.50"), (0.375, "0.375"), (0.0, "0.00"), (2.0, "2.00"), (0.1, "0.10")),
        *((0.123456789, "0.123456789"), (1e-7, "1e-07"), (12.25, "12.25"), (1 / 3, repr(1 / 3))),
    ],
)
def test_a_chosen_radius_stays_what_it_is(value: float, text: str) -> None:
    assert as_radius(value) == text


def test_settings_stay_what_they_are() -> None:
    draw = random.Random(5)
    for _ in range(2000):
        value = draw.choice([draw.random(), round(draw.random(), draw.randint(1, 8))])
        assert float(as_stated(value)) == float(as_radius(value)) == value
    assert [as_stated(value) for value in (0.001, 0.5, 1.0)] == ["0.001", "0.5", "1"]


def test_averages_go_down_and_errors_and_costs_up() -> None:
    assert (as_acr(0.5579999), as_error(0.0100001), as_cost(99.0001)) == ("0.557", "0.011", "100")
    assert (as_acr(0.424), as_error(0.01), as_cost(100.0)) == ("0.424", "0.010", "100")
    assert (as_proportion(0.99999), as_proportion(9945 / 10_000)) == ("0.9999", "0.9945")


def test_published_numbers_are_written_as_published() -> None:
    for entry in published_entries():
        for share in entry.summary.certified_accuracy:
            assert Decimal(as_share(share)) == round(Decimal(repr(100 * share)), 1)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (1.9057, 2, "1.90"),
        (1.9057, 3, "1.905"),
        (0.3, 1, "0.2"),  # the float is below 3/10
        (0.25, 2, "0.25"),
        (0.0, 4, "0.0000"),
        (2.0, 0, "2"),
        (1e-12, 4, "0.0000"),
        (-0.001, 2, "-0.01"),
        (3.8115, 3, "3.811"),
    ],
)
def test_floor_digits(value: float, digits: int, text: str) -> None:
    assert floor_digits(value, digits) == text


def test_floor_digits_is_never_above_and_less_than_one_unit_below() -> None:
    draw = random.Random(9)
    for _ in range(5000):
        value = draw.choice([draw.uniform(0, 4), round(draw.uniform(0, 4), draw.randint(0, 6))])
        digits = draw.randint(0, 6)
        text = floor_digits(value, digits)
        below = Decimal(value) - Decimal(text)
        assert 0 <= below < Decimal(1).scaleb(-digits)
        assert len(text.partition(".")[2]) == digits


@pytest.mark.parametrize("value", [1e25, 1e30, 1.7e308, -1e300])
def test_no_number_is_too_large_to_be_written(value: float) -> None:
    assert float(as_acr(value)) == value
    assert Decimal(floor_digits(value, 3)) == Decimal(value)

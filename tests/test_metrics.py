"""Metrics of certification logs, against values worked out by hand and against scipy."""

import math
from pathlib import Path

import pytest
from scipy.stats import binomtest

from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.kinds import protocol_of
from rszoo.errors import DataError
from rszoo.evaluation.log import NO_LABEL, CertificationLog, LogTable, read_log
from rszoo.evaluation.metrics import default_radii, differences, paired_difference, summary

HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
SIX = [
    (3, 3, 0.5),  # right, exactly on the grid
    (3, 3, 1.0),
    (5, 2, 0.75),  # wrong, with a radius
    (1, -1, 0.0),  # abstained
    (1, 1, 0.25),
    (0, 0, 0.0),  # right, with nothing certified around it
]


def original(path: Path, rows: list[tuple[int, int, float]]) -> LogTable:
    lines = [
        f"{i}\t{label}\t{predict}\t{radius}\t{int(label == predict)}\t0:00:01\n"
        for i, (label, predict, radius) in enumerate(rows)
    ]
    path.write_text(HEADER + "".join(lines))
    return read_log(path)


def certified(path: Path, *, n: int = 1000, alpha: float = 0.001, sigma: float = 0.5) -> LogTable:
    with CertificationLog.open(
        path, protocol_of({"inputs": {"name": "digits"}}), resume=False
    ) as log:
        for idx in range(4):
            votes = n - 10 * idx
            given = certificate_from_votes(1, votes, n0=100, n=n, alpha=alpha, sigma=sigma)
            log.append(idx, 1, given, 0.1)
    return read_log(path)


def test_six_rows_by_hand(tmp_path: Path) -> None:
    result = summary(original(tmp_path / "six.tsv", SIX))
    assert (result.name, result.images) == ("six", 6)
    assert (result.n, result.alpha, result.sigma) == (None, None, None)
    assert result.acr == pytest.approx(1.75 / 6)
    # Deviations of 0.5, 1, 0.25 and three zeros from their mean: squares add up to 0.80208.
    assert result.acr_se == pytest.approx(math.sqrt(0.8020833333333334 / 5 / 6))
    assert result.clean == pytest.approx(4 / 6)
    assert result.abstained == pytest.approx(1 / 6)
    assert result.radii == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert result.certified_accuracy == pytest.approx([4 / 6, 3 / 6, 2 / 6, 1 / 6, 1 / 6])


def test_the_radius_itself_is_certified_and_no_more(tmp_path: Path) -> None:
    log = original(tmp_path / "six.tsv", SIX)
    above = math.nextafter(0.5, 1.0)
    assert summary(log, [0.5, above]).certified_accuracy == pytest.approx([2 / 6, 1 / 6])


def test_intervals_are_the_exact_ones_of_scipy(tmp_path: Path) -> None:
    result = summary(original(tmp_path / "six.tsv", SIX), [0.0, 0.25, 0.5, 0.75, 2.0])
    for successes, interval in zip([4, 3, 2, 1, 0], result.intervals, strict=True):
        exact = binomtest(successes, 6).proportion_ci(0.95, method="exact")
        assert interval == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_a_published_row_comes_out_of_its_counts(tmp_path: Path) -> None:
    # CAT-RS on CIFAR-10 at sigma 0.25, as published: abstained 3.60 %, certified accuracy
    # 76.3, 68.1, 58.8, 48.2 % at 0, 0.25, 0.5, 0.75. Radii have three digits in such logs.
    counts = {0.953: 482, 0.5: 588 - 482, 0.499: 681 - 588, 0.0123: 763 - 681}
    rows = [(1, 1, radius) for radius, count in counts.items() for _ in range(count)]
    rows += [(1, -1, 0.0)] * 36 + [(1, 2, 0.953)] * (1000 - 763 - 36)
    result = summary(original(tmp_path / "cat_rs", rows))
    assert result.radii == (0.0, 0.25, 0.5, 0.75)
    assert result.certified_accuracy == pytest.approx([0.763, 0.681, 0.588, 0.482])
    assert result.abstained == pytest.approx(0.036)
    total = 0.953 * 482 + 0.5 * 106 + 0.499 * 93 + 0.0123 * 82
    assert result.acr == pytest.approx(total / 1000)


def test_the_budget_is_read_from_the_rows(tmp_path: Path) -> None:
    result = summary(certified(tmp_path / "a.tsv", n=1000, alpha=0.01, sigma=0.25))
    assert (result.n, result.alpha, result.sigma) == (1000, 0.01, 0.25)


def test_a_budget_that_changes_within_a_log_is_not_named(tmp_path: Path) -> None:
    with CertificationLog.open(tmp_path / "a.tsv", protocol_of({}), resume=False) as log:
        for idx, n in enumerate((1000, 2000)):
            log.append(idx, 1, certificate_from_votes(1, n, n0=9, n=n, alpha=0.1, sigma=1.0), 0.1)
    result = summary(read_log(tmp_path / "a.tsv"))
    assert (result.n, result.alpha, result.sigma) == (None, 0.1, 1.0)


def test_the_default_radii_end_at_the_largest_radius_of_a_right_answer(tmp_path: Path) -> None:
    # All votes: 2.4633 sigma with n = 1000 and alpha = 0.001.
    assert default_radii(certified(tmp_path / "a.tsv")) == (0.0, 0.25, 0.5, 0.75, 1.0)
    unanimous = original(tmp_path / "b.tsv", [(1, 1, 0.75)])
    assert default_radii(unanimous) == (0.0, 0.25, 0.5, 0.75)
    wrong = original(tmp_path / "c.tsv", [(1, 1, 0.3), (1, 2, 0.75)])
    assert default_radii(wrong) == (0.0, 0.25)
    assert default_radii(original(tmp_path / "d.tsv", [(1, -1, 0.0)])) == (0.0,)


def test_one_image_has_no_standard_error(tmp_path: Path) -> None:
    assert summary(original(tmp_path / "a.tsv", [(1, 1, 0.5)])).acr_se is None


def test_radii_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    log = original(tmp_path / "a.tsv", SIX)
    for wrong in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="expected finite radii >= 0"):
            summary(log, [0.5, wrong])


def test_a_log_without_rows_or_labels_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError) as empty:
        summary(original(tmp_path / "a.tsv", []))
    assert str(empty.value) == (
        f"{tmp_path}/a.tsv: expected at least one row, got none; certify something first"
    )
    with CertificationLog.open(tmp_path / "own.tsv", protocol_of({}), resume=False) as log:
        given = certificate_from_votes(1, 99, n0=9, n=100, alpha=0.1, sigma=1.0)
        log.append(0, NO_LABEL, given, 0.1, "photo.png")
    with pytest.raises(DataError) as unlabelled:
        summary(read_log(tmp_path / "own.tsv"))
    assert str(unlabelled.value) == (
        f"{tmp_path}/own.tsv: expected rows with true labels, got only inputs of your own "
        "(label -1): without the true class, accuracy and ACR are not defined"
    )


def test_what_logs_differ_in_is_found(tmp_path: Path) -> None:
    log = certified(tmp_path / "a.tsv")
    assert differences([log]) == []
    assert differences([log, certified(tmp_path / "b.tsv", sigma=1.0)]) == []
    assert differences([log, certified(tmp_path / "c.tsv", n=2000)]) == ["n"]
    assert differences([log, certified(tmp_path / "d.tsv", alpha=0.01)]) == ["alpha"]
    foreign = original(tmp_path / "e.tsv", [(1, 1, 0.5)] * 4)
    assert differences([log, foreign]) == ["n", "alpha"]
    assert differences([foreign, original(tmp_path / "f.tsv", SIX)]) == ["inputs"]


def test_the_same_labels_of_other_data_are_other_inputs(tmp_path: Path) -> None:
    log, other = certified(tmp_path / "a.tsv"), certified(tmp_path / "b.tsv")
    (tmp_path / "b.json").write_text('{"inputs": {"name": "digits with fog"}}')
    assert differences([log, read_log(other.path)]) == ["inputs"]


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    log = certified(tmp_path / "a.tsv")
    header, *rows = (tmp_path / "a.tsv").read_text().splitlines()
    (tmp_path / "b.tsv").write_text("\n".join([header, *reversed(rows), ""]))
    assert differences([log, read_log(tmp_path / "b.tsv")]) == []


def test_two_logs_of_the_same_images_are_compared_image_by_image(tmp_path: Path) -> None:
    def table(name: str, radii: list[float], order: list[int]) -> LogTable:
        path = tmp_path / name
        rows = [f"{i}\t1\t1\t{radii[i]}\t1\t0\n" for i in order]
        path.write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime\n" + "".join(rows))
        return read_log(path)

    first = table("a", [0.1, 0.2, 0.3], [0, 1, 2])
    second = table("b", [0.2, 0.4, 0.3], [2, 0, 1])
    found = paired_difference(first, second)
    assert found is not None
    # The differences are 0.1, 0.2 and 0: two differ, too few for an interval.
    assert found.acr == pytest.approx(0.1)
    assert (found.low, found.high, found.up, found.down, found.p_value) == (None, None, 2, 0, 0.5)
    assert (found.first, found.second, found.images) == ("a", "b", 3)
    assert paired_difference(first, table("c", [0.1, 0.2], [0, 1])) is None


def test_twenty_images_that_differ_have_an_interval(tmp_path: Path) -> None:
    zeros = original(tmp_path / "a", [(1, 1, 0.0)] * 20)
    radii = original(tmp_path / "b", [(1, 1, 0.1), (1, 1, 0.3)] * 10)
    found = paired_difference(zeros, radii)
    assert found is not None
    # Mean 0.2, standard deviation 0.1 sqrt(20 / 19), no skewness; 2.093 is Student's quantile.
    reach = 2.0930240544 * 0.1 / 19**0.5
    assert (found.low, found.high) == pytest.approx((0.2 - reach, 0.2 + reach))
    assert (found.up, found.down) == (20, 0)

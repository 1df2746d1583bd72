"""The distribution of p: by hand, and where a log says nothing of it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.kinds import protocol_of
from rszoo.evaluation.log import CertificationLog, LogTable, read_log
from rszoo.evaluation.p_distribution import p_distribution, why_unknown
from rszoo.smoothing.decisions import RadiusTests

LOGS = Path(__file__).parent / "fixtures/34f3b01/logs"
SIX = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t0.529\t1\tt\n"


def log(
    path: Path, votes: Sequence[int], *, labels: Sequence[int] = (), n: int = 1000
) -> LogTable:
    """Write a log whose selected class is always 1."""
    with CertificationLog.open(path, protocol_of({}), resume=False) as opened:
        for idx, count in enumerate(votes):
            given = certificate_from_votes(1, count, n0=9, n=n, alpha=0.001, sigma=0.5)
            opened.append(idx, labels[idx] if labels else 1, given, 0.1)
    return read_log(path)


def test_eight_inputs_by_hand(tmp_path: Path) -> None:
    votes = [1000, 999, 998, 990, 900, 899, 500, 499]
    p = p_distribution(log(tmp_path / "a.tsv", votes, labels=[1, 2, 1, 1, 2, 1, 1, 1]))
    assert p is not None
    assert p.thresholds == (0.5, 0.9, 0.99, 0.999)
    assert p.shares == (7 / 8, 5 / 8, 4 / 8, 2 / 8)
    assert p.right == (5 / 8, 3 / 8, 3 / 8, 1 / 8)
    assert p.all_but_one == (2 / 8, 1 / 8)
    # The smallest value that at least the level's share of the inputs does not exceed.
    assert dict(zip(p.levels, p.quantiles, strict=True)) == {
        0.05: 0.499,
        0.25: 0.5,
        0.5: 0.9,
        0.75: 0.998,
        0.95: 1.0,
    }


def test_an_abstention_has_a_p_too(tmp_path: Path) -> None:
    table = log(tmp_path / "a.tsv", [510, 1000])
    p = p_distribution(table)
    assert table.predict.tolist() == [-1, 1]
    assert p is not None
    assert (p.shares[0], p.right[0]) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("n", "known"),
    [(9, 1), (10, 2), (99, 2), (100, 3), (999, 3), (1000, 4), (100_000, 4)],
)
def test_n_draws_resolve_no_more_than_one_draw(tmp_path: Path, n: int, known: int) -> None:
    p = p_distribution(log(tmp_path / "a.tsv", [n, n], n=n))
    assert p is not None
    assert p.shares == (1.0,) * known + (None,) * (4 - known)
    assert p.right == p.shares
    assert p.all_but_one == (1.0, 1.0)


def test_the_same_proportions_have_the_same_distribution_at_any_n(tmp_path: Path) -> None:
    shares = (0.3, 0.7, 0.95, 0.992, 0.9995)
    made = [
        log(tmp_path / f"{n}.tsv", [round(n * share) for share in shares], n=n)
        for n in (10_000, 100_000)
    ]
    small, large = (p_distribution(one) for one in made)
    assert small is not None
    assert large is not None
    assert (small.shares, small.right, small.quantiles) == (
        large.shares,
        large.right,
        large.quantiles,
    )
    assert made[0].radius.sum() < made[1].radius.sum()


def test_logs_of_the_original_code_hold_no_counts(tmp_path: Path) -> None:
    (tmp_path / "cohen").write_text(SIX)
    table = read_log(tmp_path / "cohen")
    assert p_distribution(table) is None
    assert why_unknown(table) == "the log holds no counts"


@pytest.mark.parametrize("named", [True, False])
def test_where_draws_stop_early_votes_are_no_estimate(tmp_path: Path, named: bool) -> None:
    tests = RadiusTests.of([0.25], sigma=0.5, n=1000, alpha=0.001)
    given = tests.certificate(1, [int(look) for look in tests.looks], n0=9)
    assert given.draws < given.n
    with CertificationLog.open(
        tmp_path / "a.tsv", protocol_of({"radii": [0.25]}), resume=False
    ) as opened:
        opened.append(0, 1, given, 0.1)
    if not named:
        (tmp_path / "a.json").unlink()
    table = read_log(tmp_path / "a.tsv")
    assert p_distribution(table) is None
    assert why_unknown(table) == (
        "the draws stopped early, and where they stop depends on the votes"
    )


def test_an_empty_log(tmp_path: Path) -> None:
    table = log(tmp_path / "a.tsv", [1])
    header = (tmp_path / "a.tsv").read_text().splitlines(keepends=True)[0]
    (tmp_path / "a.tsv").write_text(header)
    table = read_log(tmp_path / "a.tsv")
    assert p_distribution(table) is None
    assert why_unknown(table) == "the log has no rows"


@pytest.mark.parametrize("name", ["cascade", "dual", "memory"])
def test_of_several_noise_levels_there_is_no_p(name: str) -> None:
    table = read_log(LOGS / f"{name}.tsv")
    assert table.votes is not None
    assert p_distribution(table) is None
    assert why_unknown(table) == (
        "the votes are under several noise levels, and which one answers depends on n"
    )

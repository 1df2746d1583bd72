"""Logs of mixed classifiers: every radius again from votes and weight."""

from dataclasses import replace
from pathlib import Path

import pytest

from rszoo.certificates.base import ABSTAIN, certificate_from_votes
from rszoo.certificates.kinds import protocol_of
from rszoo.certificates.kinds.mixed import mixed_certificate
from rszoo.errors import DataError
from rszoo.evaluation.log import CertificationLog, read_log
from rszoo.evaluation.merge import merge_logs
from rszoo.theory.mixing import mixed_radius

PROTOCOL = {"alpha_mix": 0.76, "sigma": 0.5}
COLUMNS = (
    "idx label predict radius correct time candidate votes n0 n alpha sigma p_lower alpha_mix"
).split()
GIVEN = [
    mixed_certificate(
        certificate_from_votes(3, votes, n0=100, n=1000, alpha=0.001, sigma=0.5), alpha_mix=0.76
    )
    for votes in (990, 600)
]


def write(path: Path, names: tuple[str | None, ...] = (None, None)) -> None:
    with CertificationLog.open(path, protocol_of(PROTOCOL), resume=False) as log:
        for idx, (given, name) in enumerate(zip(GIVEN, names, strict=True)):
            log.append(idx, 3, given, 0.1, input=name)


@pytest.mark.parametrize("names", [(None, None), ("a.png", "b.png")])
def test_certificates_come_back(tmp_path: Path, names: tuple[str | None, ...]) -> None:
    write(tmp_path / "a.tsv", names)
    header = (tmp_path / "a.tsv").read_text().splitlines()[0].split("\t")
    assert header == [*COLUMNS, *(["input"] if names[0] else [])]
    log = read_log(tmp_path / "a.tsv")
    assert [log.certificate(row) for row in range(2)] == GIVEN
    assert (GIVEN[0].label, GIVEN[1].label, GIVEN[1].candidate) == (3, ABSTAIN, 3)
    assert log.details["alpha_mix"].tolist() == [0.76, 0.76]
    assert log.correct.tolist() == [True, False]


def test_other_logs_have_no_weight(tmp_path: Path) -> None:
    with CertificationLog.open(tmp_path / "a.tsv", protocol_of({}), resume=False) as log:
        log.append(0, 3, certificate_from_votes(3, 9, n0=1, n=9, alpha=0.1, sigma=1.0), 0.1)
    table = read_log(tmp_path / "a.tsv")
    assert table.details == {}
    assert table.certificate(0).details is None


def test_a_log_is_continued_and_merged(tmp_path: Path) -> None:
    for i in range(2):
        with CertificationLog.open(
            tmp_path / f"{i}.tsv", protocol_of(PROTOCOL), resume=False
        ) as log:
            log.append(i, 3, GIVEN[i], 0.1)
    merge_logs([tmp_path / "0.tsv", tmp_path / "1.tsv"], tmp_path / "all.tsv")
    with CertificationLog.open(tmp_path / "all.tsv", protocol_of(PROTOCOL), resume=True) as log:
        log.append(2, 3, GIVEN[0], 0.1)
    table = read_log(tmp_path / "all.tsv")
    assert [table.certificate(row) for row in range(3)] == [*GIVEN, GIVEN[0]]


@pytest.mark.parametrize(
    ("row", "column", "value", "problem"),
    [
        (0, "alpha_mix", "0.5", "alpha_mix to be a number in (1/2, 1], got '0.5'"),
        (0, "alpha_mix", "1.01", "alpha_mix to be a number in (1/2, 1], got '1.01'"),
        (0, "alpha_mix", "nan", "alpha_mix to be a number in (1/2, 1], got 'nan'"),
        (0, "alpha_mix", "1.0", "radius={all!r} for votes=990, n=1000, got {mine!r}"),
        (0, "radius", "1.0", "radius={mine!r} for votes=990, n=1000, got 1.0"),
        (0, "votes", "1001", "votes <= n, got '1001 1000'"),
        (1, "predict", "3", "predict=-1 for votes=600, n=1000, got 3"),
        (1, "radius", "0.1", "radius=0.0 for votes=600, n=1000, got 0.1"),
    ],
)
def test_a_row_that_claims_more_than_its_votes_and_weight_give(
    tmp_path: Path, row: int, column: str, value: str, problem: str
) -> None:
    path = tmp_path / "a.tsv"
    write(path)
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    lines[1 + row][COLUMNS.index(column)] = value
    if column == "predict":
        lines[1 + row][COLUMNS.index("correct")] = "1"
    path.write_text("".join("\t".join(line) + "\n" for line in lines))
    with pytest.raises(DataError, match=f"line {2 + row}: expected"):
        read_log(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(DataError) as caught:  # by its votes alone
        read_log(path)
    p_lower = GIVEN[0].p_lower
    expected = problem.format(all=mixed_radius(p_lower, 0.5, 1.0), mine=GIVEN[0].radius)
    assert f"{path}, line {2 + row}: expected {expected};" in str(caught.value)


def test_the_radius_of_the_robust_part_is_refused(tmp_path: Path) -> None:
    """What a mix without its certificate would claim."""
    robust = certificate_from_votes(3, 990, n0=100, n=1000, alpha=0.001, sigma=0.5)
    with CertificationLog.open(tmp_path / "a.tsv", protocol_of(PROTOCOL), resume=False) as log:
        log.append(0, 3, replace(GIVEN[0], radius=robust.radius), 0.1)
    with pytest.raises(DataError, match=f"expected radius={GIVEN[0].radius!r}"):
        read_log(tmp_path / "a.tsv")

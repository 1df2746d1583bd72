"""Reading certification logs: the original format, and every broken row by file and line."""

from pathlib import Path

import pytest

from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.kinds import protocol_of
from rszoo.certificates.kinds.fixed import KIND as FIXED
from rszoo.errors import DataError
from rszoo.evaluation.coverage import coverage
from rszoo.evaluation.log import CertificationLog, read_log
from rszoo.evaluation.metrics import summary
from rszoo.smoothing.decisions import RadiusTests
from rszoo.theory.bounds import clopper_pearson_lower

HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
REMEDY = "restore the file, or certify again into a new one"


def write(path: Path) -> None:
    with CertificationLog.open(path, protocol_of({}), resume=False) as log:
        for idx, votes in enumerate((990, 800)):
            given = certificate_from_votes(3, votes, n0=100, n=1000, alpha=0.001, sigma=0.5)
            log.append(idx, 3, given, 0.1)


def test_original_logs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sigma_0.50"
    path.write_text(
        HEADER + "0\t7\t7\t1.91\t1\t0:00:10.5\n20\t2\t-1\t0.0\t0\tlong\n40\t1\t3\t0.529\t0\t"
    )
    path.with_name("sigma_0.50.json").write_text("not JSON, and not of the log")
    log = read_log(path)
    assert (log.name, log.protocol, log.unfinished) == ("sigma_0.50", None, False)
    assert (log.idx.tolist(), log.radius.tolist()) == ([0, 20, 40], [1.91, 0.0, 0.529])
    assert log.correct.tolist() == [True, False, False]
    assert (log.n, log.alpha, log.sigma, log.p_lower, log.votes) == (None,) * 5


def test_line_ends_of_windows_are_read(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv")
    text = (tmp_path / "a.tsv").read_bytes().replace(b"\n", b"\r\n")
    (tmp_path / "b.tsv").write_bytes(text)
    unix, windows = read_log(tmp_path / "a.tsv"), read_log(tmp_path / "b.tsv")
    assert windows.radius.tolist() == unix.radius.tolist()
    assert windows.p_lower is not None
    assert unix.p_lower is not None
    assert windows.p_lower.tolist() == unix.p_lower.tolist()


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    """Editors of Windows write one; a log that has it can be read, and continued."""
    write(tmp_path / "a.tsv")
    expected = read_log(tmp_path / "a.tsv").radius.tolist()
    plain = (tmp_path / "a.tsv").read_bytes()
    for mark in (b"", b"\xef\xbb\xbf"):
        (tmp_path / "a.tsv").write_bytes(mark + plain + b"2\t3")  # and an unfinished row
        read = read_log(tmp_path / "a.tsv")
        assert (read.radius.tolist(), read.unfinished) == (expected, True)
        with CertificationLog.open(tmp_path / "a.tsv", protocol_of({}), resume=True) as log:
            given = certificate_from_votes(3, 990, n0=100, n=1000, alpha=0.001, sigma=0.5)
            log.append(7, 3, given, 0.1)
        assert (tmp_path / "a.tsv").read_bytes().startswith(mark + plain + b"7\t3")
        assert read_log(tmp_path / "a.tsv").idx.tolist() == [0, 1, 7]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("0\t3\t3\t0.5\t1", "expected 6 columns, got 5"),
        ("0\t3\t3\t0.5\t1\t0:00:01\tx", "expected 6 columns, got 7"),
        ("", "expected 6 columns, got 0"),
        ("x\t3\t3\t0.5\t1\t0:00:01", "expected idx to be an integer >= 0, got 'x'"),
        ("0\t-2\t3\t0.5\t0\t0:00:01", "expected label to be an integer >= -1, got '-2'"),
        ("0\t3\t3\tnan\t1\t0:00:01", "expected radius to be a finite number >= 0, got 'nan'"),
        ("0\t3\t3\tinf\t1\t0:00:01", "expected radius to be a finite number >= 0, got 'inf'"),
        ("0\t3\t3\t-0.1\t1\t0:00:01", "expected radius to be a finite number >= 0, got '-0.1'"),
        ("0\t3\t3\t0.5\t2\t0:00:01", "expected correct to be 0 or 1, got '2'"),
        ("0\t3\t4\t0.5\t1\t0:00:01", "expected correct=0 for label=3, predict=4, got 1"),
        ("0\t3\t3\t0.5\t0\t0:00:01", "expected correct=1 for label=3, predict=3, got 0"),
        ("0\t-1\t-1\t0.5\t1\t0:00:01", "expected correct=0 for label=-1, predict=-1, got 1"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, row: str, problem: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"{HEADER}7\t1\t1\t0.5\t1\tt\n{row}\n8\t1\t1\t0.5\t1\tt\n")
    with pytest.raises(DataError) as error:
        read_log(path)
    assert str(error.value) == f"{path}, line 3: {problem}; {REMEDY}"


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("votes", "-1", "an integer >= 0"),
        ("n", "0", "an integer >= 1"),
        ("alpha", "1.0", "a number between 0 and 1"),
        ("sigma", "0", "a positive finite number"),
        ("p_lower", "1.0", "a number in [0, 1)"),
    ],
)
def test_broken_evidence_is_named(tmp_path: Path, column: str, value: str, expected: str) -> None:
    path = tmp_path / "a.tsv"
    write(path)
    header, first, *rest = path.read_text().splitlines()
    fields = first.split("\t")
    fields[FIXED.names.index(column)] = value
    path.write_text("\n".join([header, "\t".join(fields), *rest, ""]))
    with pytest.raises(DataError) as error:
        read_log(path)
    assert str(error.value) == (
        f"{path}, line 2: expected {column} to be {expected}, got {value!r}; {REMEDY}"
    )
    with pytest.raises(DataError):
        CertificationLog.open(path, protocol_of({}), resume=True)


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("votes", "1001", "votes <= n, got '1001 1000'"),
        ("votes", "999", "p_lower={p_lower!r} for votes=999, n=1000, got {was!r}"),
        ("radius", "1.9", "radius={radius!r} for votes=1000, n=1000, got 1.9"),
        ("sigma", "0.5", "radius={double!r} for votes=1000, n=1000, got {radius!r}"),
        ("predict", "-1", "predict=1 for votes=1000, n=1000, got -1"),
    ],
)
def test_a_row_that_claims_more_than_its_votes_give(
    tmp_path: Path, column: str, value: str, problem: str
) -> None:
    path = tmp_path / "a.tsv"
    given = certificate_from_votes(1, 1000, n0=9, n=1000, alpha=0.001, sigma=0.25)
    with CertificationLog.open(path, protocol_of({}), resume=False) as log:
        log.append(0, 0, given, 0.1)
    header, row = path.read_text().splitlines()
    fields = row.split("\t")
    fields[FIXED.names.index(column)] = value
    path.write_text("\n".join([header, "\t".join(fields), ""]))
    with pytest.raises(DataError) as error:
        read_log(path)
    expected = problem.format(
        p_lower=clopper_pearson_lower(999, 1000, 0.001),
        was=given.p_lower,
        radius=given.radius,
        double=2 * given.radius,
    )
    assert str(error.value) == f"{path}, line 2: expected {expected}; {REMEDY}"


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("radius", "0.75", "predict=-1 for votes=61, draws=61, n=1000, got 1"),
        ("radius", "1.0", "radius=0.75 by its protocol, got 1.0"),
        ("radius", "9.0", "radius=0.75 by its protocol, got 9.0"),
        ("votes", "40", "predict=-1 for votes=40, draws=61, n=1000, got 1"),
        ("draws", "62", "votes <= draws <= spent <= n, got '61 62 61 1000'"),
        ("predict", "-1", "p_lower=0.0 for votes=61, draws=61, n=1000, got {p_lower!r}"),
        ("p_lower", "0.99", "p_lower={p_lower!r} for votes=61, draws=61, n=1000, got 0.99"),
        ("draws", "60", "votes <= draws <= spent <= n, got '61 60 61 1000'"),
        ("spent", "1001", "votes <= draws <= spent <= n, got '61 61 1001 1000'"),
    ],
)
def test_an_early_row_that_claims_more_than_its_votes_give(
    tmp_path: Path, column: str, value: str, problem: str
) -> None:
    path = tmp_path / "a.tsv"
    tests = RadiusTests.of([0.1, 0.25], sigma=0.25, n=1000, alpha=0.001)
    given = tests.certificate(1, tests.looks.tolist(), n0=9)  # all votes
    assert (given.radius, given.votes, given.draws) == (0.25, 61, 61)
    protocol = protocol_of({"radii": [0.1, 0.25, 0.75]})
    with CertificationLog.open(path, protocol, resume=False) as log:
        log.append(0, 0, given, 0.1)
    assert read_log(path).certificate(0) == given
    header, row = path.read_text().splitlines()
    fields = row.split("\t")
    fields[header.split("\t").index(column)] = value
    path.write_text("\n".join([header, "\t".join(fields), ""]))
    with pytest.raises(DataError) as error:
        read_log(path)
    expected = problem.format(p_lower=given.p_lower)
    assert str(error.value) == f"{path}, line 2: expected {expected}; {REMEDY}"


@pytest.mark.parametrize("last", [2**53, 2**63 - 2])
def test_the_last_input_may_be_any_number_of_an_array(tmp_path: Path, last: int) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"{HEADER}{last}\t1\t1\t0.5\t1\tt\n1\t1\t1\t0.5\t1\tt\n")
    log = read_log(path)
    assert coverage(log).count == last + 1
    assert summary(log).images == 2
    path.write_text(f"{HEADER}{2**63 - 1}\t1\t1\t0.5\t1\tt\n")
    with pytest.raises(DataError, match="line 2: expected idx to be an integer >= 0"):
        read_log(path)


def test_an_input_listed_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"{HEADER}7\t1\t1\t0.5\t1\tt\n8\t1\t1\t0.5\t1\tt\n7\t1\t1\t0.5\t1\tt\n")
    with pytest.raises(DataError) as error:
        read_log(path)
    assert str(error.value) == (
        f"{path}, line 4: expected each idx once, got '7 as in line 2'; {REMEDY}"
    )


def test_a_file_that_is_no_log_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("idx\tlabel\tpredict\tcorrect\n0\t1\t1\t1\n")
    with pytest.raises(DataError) as error:
        read_log(path)
    assert str(error.value) == (
        f"{path}, line 1: expected the header {' '.join(FIXED.names)}, "
        f"got 'idx label predict correct'; {REMEDY}"
    )
    path.write_bytes(HEADER.encode() + b"\xff\n0\n")
    with pytest.raises(DataError, match="line 2: expected tab-separated text in UTF-8"):
        read_log(path)
    with pytest.raises(DataError) as missing:
        read_log(tmp_path / "absent.tsv")
    assert str(missing.value) == (
        f"cannot read the log '{tmp_path}/absent.tsv': No such file or directory"
    )


def test_a_log_of_predictions_is_called_that(tmp_path: Path) -> None:
    path = tmp_path / "predictions.tsv"
    path.write_text("idx\tlabel\tpredict\tcorrect\ttime\n0\t1\t1\t1\t0:00:01.5\n")
    with pytest.raises(DataError) as error:
        read_log(path)
    assert str(error.value) == (
        f"{path}: expected certificates, got predictions: a log of PREDICT of the original "
        "research code (code/predict.py of Cohen et al., 2019) has labels and no radii, so that "
        "nothing in it is certified; read the log of its certify.py"
    )

"""Certification logs: what is written can be killed, resumed, locked and read back."""

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rszoo.certificates.base import ABSTAIN, certificate_from_votes
from rszoo.certificates.kinds import protocol_of
from rszoo.certificates.kinds.fixed import KIND as FIXED
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.log import (
    NO_LABEL,
    CertificationLog,
    protocol_path,
    read_log,
)

PROTOCOL = protocol_of(
    {"model": {"name": "x"}, "inputs": {"name": "photos", "digest": "ab"}, "n": 1000}
)
RIGHT = certificate_from_votes(3, 990, n0=100, n=1000, alpha=0.001, sigma=0.5)
WRONG = certificate_from_votes(4, 800, n0=100, n=1000, alpha=0.001, sigma=0.5)
UNSURE = certificate_from_votes(3, 500, n0=100, n=1000, alpha=0.001, sigma=0.5)
ROWS = [(0, 3, RIGHT, 1.5), (20, 3, WRONG, 0.25), (40, 3, UNSURE, 3600.0)]


def write(path: Path, rows: list[tuple] = ROWS, *, resume: bool = False) -> None:
    with CertificationLog.open(path, PROTOCOL, resume=resume) as log:
        for row in rows:
            log.append(*row)


def test_the_whole_file_is_as_documented(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv")
    assert (tmp_path / "a.tsv").read_text() == (
        "idx\tlabel\tpredict\tradius\tcorrect\ttime\tcandidate\tvotes\tn0\tn\talpha\tsigma"
        "\tp_lower\n"
        f"0\t3\t3\t{RIGHT.radius!r}\t1\t0:00:01.500000\t3\t990\t100\t1000\t0.001\t0.5"
        f"\t{RIGHT.p_lower!r}\n"
        f"20\t3\t4\t{WRONG.radius!r}\t0\t0:00:00.250000\t4\t800\t100\t1000\t0.001\t0.5"
        f"\t{WRONG.p_lower!r}\n"
        f"40\t3\t-1\t0.0\t0\t1:00:00\t3\t500\t100\t1000\t0.001\t0.5\t{UNSURE.p_lower!r}\n"
    )
    assert json.loads((tmp_path / "a.json").read_text()) == PROTOCOL.values()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.tsv"]


def test_a_log_of_something_else_is_begun_anew_when_asked(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv")
    before, other = (
        (tmp_path / "a.tsv").read_bytes(),
        protocol_of({**PROTOCOL.values(), **{"seed": 5}}),
    )
    with CertificationLog.open(tmp_path / "a.tsv", PROTOCOL, resume=True, restart=True) as log:
        assert log.done == {0, 20, 40}
    assert (tmp_path / "a.tsv").read_bytes() == before
    with CertificationLog.open(tmp_path / "a.tsv", other, resume=True, restart=True) as log:
        assert log.done == set()
        log.append(20, 3, RIGHT, 1.5)
    assert read_log(tmp_path / "a.tsv").idx.tolist() == [20]
    assert json.loads((tmp_path / "a.json").read_text()) == other.values()


def test_rows_never_stand_beside_the_protocol_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    write(tmp_path / "a.tsv")
    other = protocol_of({**PROTOCOL.values(), "seed": 5})
    monkeypatch.setattr("rszoo.evaluation.log.write_protocol", killed)
    with pytest.raises(KeyboardInterrupt):
        CertificationLog.open(tmp_path / "a.tsv", other, resume=True, restart=True)
    assert (tmp_path / "a.tsv").read_bytes() == b""
    monkeypatch.undo()
    with CertificationLog.open(tmp_path / "a.tsv", other, resume=True) as log:
        assert log.done == set()
    assert json.loads((tmp_path / "a.json").read_text()) == other.values()


def test_a_log_of_several_batch_sizes_goes_on_with_any(tmp_path: Path) -> None:
    merged, now = (protocol_of({**PROTOCOL.values(), "batch_size": one}) for one in (None, 100))
    with CertificationLog.open(tmp_path / "a.tsv", merged, resume=False) as log:
        log.append(0, 3, RIGHT, 1.5)
    with CertificationLog.open(tmp_path / "a.tsv", now, resume=True) as log:
        assert log.done == {0}
    assert json.loads((tmp_path / "a.json").read_text())["batch_size"] is None


def test_what_is_no_log_is_never_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("my own notes\n")
    with pytest.raises(DataError):
        CertificationLog.open(tmp_path / "a.tsv", PROTOCOL, resume=True, restart=True)
    assert (tmp_path / "a.tsv").read_text() == "my own notes\n"


def test_what_was_written_is_read_back_exactly(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv")
    log = read_log(tmp_path / "a.tsv")
    assert (log.name, len(log), log.unfinished, log.protocol) == ("a", 3, False, PROTOCOL)
    assert log.idx.tolist() == [0, 20, 40]
    assert log.predict.tolist() == [3, 4, ABSTAIN]
    assert log.correct.tolist() == [True, False, False]
    assert log.radius.tolist() == [RIGHT.radius, WRONG.radius, 0.0]
    assert log.p_lower is not None
    assert log.p_lower.tolist() == [c.p_lower for c in (RIGHT, WRONG, UNSURE)]
    assert log.votes is not None
    assert log.votes.tolist() == [990, 800, 500]
    assert log.input is None


def test_numbers_of_numpy_are_written_as_plain_numbers(tmp_path: Path) -> None:
    certificate = replace(RIGHT, radius=np.float64(RIGHT.radius), votes=np.int64(990))
    write(tmp_path / "a.tsv", [(np.int64(0), np.int64(3), certificate, np.float64(1.5))])
    write(tmp_path / "b.tsv", ROWS[:1])
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()


def test_a_row_is_in_the_file_as_soon_as_it_is_appended(tmp_path: Path) -> None:
    with CertificationLog.open(tmp_path / "a.tsv", PROTOCOL, resume=False) as log:
        assert json.loads((tmp_path / "a.json").read_text()) == PROTOCOL.values()
        for count, row in enumerate(ROWS, start=1):
            log.append(*row)
            assert len(read_log(tmp_path / "a.tsv")) == count
        assert log.done == {0, 20, 40}


def test_own_inputs_have_names_and_are_never_correct(tmp_path: Path) -> None:
    names = ['"a" b.png', "c\td\ne.png", "é.npy[3]"]
    with CertificationLog.open(tmp_path / "own.tsv", protocol_of({}), resume=False) as log:
        for i, name in enumerate(names):
            log.append(i, NO_LABEL, UNSURE, 0.1, name)
        with pytest.raises(ValueError, match="expected rows with the columns"):
            log.append(3, NO_LABEL, UNSURE, 0.1)
    read = read_log(tmp_path / "own.tsv")
    assert read.input == ('"a" b.png', r"c\td\ne.png", "é.npy[3]")
    assert not read.correct.any()


def test_pandas_reads_a_log(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    write(tmp_path / "a.tsv", [(*row, f'"{row[0]}".png') for row in ROWS])
    frame = pandas.read_csv(tmp_path / "a.tsv", sep="\t")
    assert tuple(frame.columns) == (*FIXED.names, "input")
    assert frame["radius"].tolist() == pytest.approx([RIGHT.radius, WRONG.radius, 0.0])
    assert frame["input"].tolist() == ['"0".png', '"20".png', '"40".png']


def test_resuming_after_a_cut_at_any_byte_loses_and_doubles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    write(path)
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        complete = max(0, whole[:cut].count(b"\n") - 1)
        read = read_log(path)
        assert len(read) == complete
        assert read.unfinished == (cut > 0 and whole[cut - 1 : cut] != b"\n")
        with CertificationLog.open(path, PROTOCOL, resume=True) as log:
            assert log.done == {row[0] for row in ROWS[:complete]}
            for row in ROWS[complete:]:
                log.append(*row)
        assert path.read_bytes() == whole


def test_a_last_row_with_too_few_columns_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    write(path, ROWS[:2])
    whole = path.read_bytes()
    path.write_bytes(whole + b"40\t3\t-1\t0.0\n")
    assert read_log(path).unfinished
    write(path, [], resume=True)
    assert path.read_bytes() == whole


def test_resuming_nothing_starts_a_log(tmp_path: Path) -> None:
    write(tmp_path / "new" / "a.tsv", resume=True)
    assert len(read_log(tmp_path / "new" / "a.tsv")) == 3


def test_rows_survive_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    code = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_log import *
log = CertificationLog.open({str(path)!r}, PROTOCOL, resume=False)
log.append(*ROWS[0]); log.append(*ROWS[1])
print("ready", flush=True); time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        with pytest.raises(RszooError) as refused:
            write(path, resume=True)
        process.send_signal(signal.SIGKILL)
    assert str(refused.value) == (
        f"{path} is being written by another process; wait for it to end, or name another log "
        "with --out"
    )
    write(path, ROWS[2:], resume=True)
    assert read_log(path).idx.tolist() == [0, 20, 40]


def test_a_second_writer_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    with CertificationLog.open(path, PROTOCOL, resume=False) as log:
        log.append(*ROWS[0])
        with pytest.raises(RszooError, match="is being written by another process"):
            CertificationLog.open(path, PROTOCOL, resume=True)
        log.append(*ROWS[1])
    with CertificationLog.open(path, PROTOCOL, resume=True) as log:
        assert log.done == {0, 20}


def test_an_index_cannot_be_appended_twice(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv")
    with pytest.raises(ValueError, match="not in the log, got idx=20"):
        write(tmp_path / "a.tsv", ROWS[1:2], resume=True)
    assert len(read_log(tmp_path / "a.tsv")) == 3


def test_an_existing_log_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    write(path)
    before = path.read_bytes()
    with pytest.raises(RszooError) as error:
        write(path)
    assert str(error.value) == (
        f"expected a new file, got {path}, which exists; continue it with --resume, or name "
        "another one with --out"
    )
    assert path.read_bytes() == before


def test_another_protocol_is_refused_with_every_difference(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    write(path)
    before = path.read_bytes()
    inputs = {"name": "mnist", "digest": "ab"}
    other = protocol_of({"model": {"name": "x"}, "inputs": inputs, "n": 2000, "seed": 0})
    with pytest.raises(RszooError) as error:
        CertificationLog.open(path, other, resume=True)
    assert str(error.value) == (
        f"{path} was made under another protocol:\n"
        "  --dataset: photos in the log, mnist now\n"
        "  --n: 1000 in the log, 2000 now\n"
        "  --seed: none in the log, 0 now\n"
        "continue it with the values of the log, or name another log with --out"
    )
    assert path.read_bytes() == before
    assert read_log(path).protocol == PROTOCOL


def test_a_log_without_its_protocol_is_not_continued(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv")
    (tmp_path / "a.json").unlink()
    assert read_log(tmp_path / "a.tsv").protocol is None
    with pytest.raises(DataError, match=r"a\.json: expected the protocol of a log"):
        write(tmp_path / "a.tsv", [], resume=True)


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"mine": 1}')
    with pytest.raises(RszooError, match=r"a\.json exists and would be overwritten"):
        write(tmp_path / "a.tsv")
    assert not (tmp_path / "a.tsv").exists()
    (tmp_path / "note.tsv").write_text("milk")
    with pytest.raises(DataError, match=r"note\.tsv, line 1: expected the header"):
        write(tmp_path / "note.tsv", resume=True)
    assert (tmp_path / "note.tsv").read_text() == "milk"


def test_a_log_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RszooError) as error:
        write(tmp_path / "file" / "a.tsv")
    assert re.fullmatch(
        r"cannot write '.*file/a\.tsv': (File exists|Not a directory)", str(error.value)
    )


def test_the_log_of_a_bundle_has_its_name(tmp_path: Path) -> None:
    bundle = tmp_path / "mnist-cat_rs-0.50"
    write(bundle / "certificates.tsv")
    assert read_log(bundle / "certificates.tsv").name == "mnist-cat_rs-0.50"
    assert (bundle / "certificates.json").exists()


def test_the_protocol_of_a_name_with_dots_is_its_own() -> None:
    assert protocol_path("a/sigma_0.25") == Path("a/sigma_0.25.json")
    assert protocol_path("a/sigma_0.25.tsv") == Path("a/sigma_0.25.json")

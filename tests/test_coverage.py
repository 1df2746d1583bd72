"""Which inputs a log is about is part of its claim: rows that are missing are found and named."""

import json
import shutil
from pathlib import Path

import pytest

from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.kinds import protocol_of
from rszoo.certificates.protocol import Inputs
from rszoo.data import load
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.coverage import check_complete, coverage, coverage_of
from rszoo.evaluation.inputs import InputSet
from rszoo.evaluation.log import CertificationLog, read_log
from rszoo.hub.catalog import find
from rszoo_cli import main

GIVEN = certificate_from_votes(3, 990, n0=100, n=1000, alpha=0.001, sigma=0.5)
SET = {"name": "photos", "split": "test", "size": 360, "digest": "ab"}


def write(path: Path, idx: list[int], inputs: dict[str, object], *, resume: bool = False) -> None:
    protocol = protocol_of({"n": 1000, "inputs": inputs})
    with CertificationLog.open(path, protocol, resume=resume) as log:
        for one in idx:
            log.append(one, 3, GIVEN, 0.1)


def test_inputs_of_a_data_set_say_which_they_are() -> None:
    images = load("digits", "test")
    chosen = InputSet.of_data_set(images, skip=50, limit=6)
    stated = Inputs.model_validate(chosen.source)
    assert (stated.size, stated.step, stated.count) == (360, 50, 6)
    assert stated.indices is not None
    assert list(stated.indices) == [one.idx for one in chosen.inputs] == list(range(0, 300, 50))
    assert Inputs.model_validate(InputSet.of_data_set(images).source).indices == range(360)
    own = InputSet.of_own([("a", images.images(images.labels[:1])[0])] * 3)
    assert Inputs.model_validate(own.source).indices == range(3)
    assert chosen.shard(2, 3).source == chosen.source


@pytest.mark.parametrize(
    ("inputs", "listed", "text"),
    [
        ({"step": 20, "count": 3}, [0, 20, 40], "3 inputs"),
        ({"step": 20, "count": 3}, [40, 0], "2 of 3 inputs: missing 20"),
        ({"step": 1, "count": 9}, [2], "1 of 9 inputs: missing 0, 1, 3, ..."),
        ({"own": "2"}, [1], "1 of 2 inputs: missing 0"),
        ({"step": 1, "count": 1 << 52}, [0], "1 of 4,503,599,627,370,496 inputs: missing 1, 2, 3"),
        # What is not stated is inferred from what is there, and never called complete.
        ({}, [0, 20, 40], "3 inputs, the log does not say of how many"),
        ({}, [0, 20, 60, 100], "4 of at least 6 inputs: missing 40, 80"),
        (None, [0, 1, 2, 5], "4 of at least 6 inputs: missing 3, 4"),
        (None, [1], "1 of at least 2 inputs: missing 0"),
        (None, [], "0 inputs, the log does not say of how many"),
    ],
)
def test_what_is_missing(inputs: dict[str, object] | None, listed: list[int], text: str) -> None:
    found = coverage_of(None if inputs is None else Inputs.model_validate(inputs), listed)
    assert str(found).removesuffix(", ...") == text.removesuffix(", ...")
    assert found.complete == ("missing" not in text)


def test_a_row_of_no_stated_input_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv", [0, 20], {**SET, "step": 20, "count": 18})
    stated = json.loads((tmp_path / "a.json").read_text())
    stated["inputs"]["count"] = 1
    (tmp_path / "a.json").write_text(json.dumps(stated))
    with pytest.raises(DataError, match=r"line 3: expected one of the inputs by its protocol"):
        read_log(tmp_path / "a.tsv")


@pytest.mark.parametrize(
    "wrong", [{"step": 0}, {"count": -1}, {"count": 1.5}, {"step": 1, "count": 361}, {"own": "x"}]
)
def test_a_protocol_states_inputs_that_there_can_be(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError, match="inputs"):
        protocol_of({"n": 1000, "inputs": {**SET, "step": 1, **wrong}})


def test_a_log_goes_on_to_more_inputs_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    write(path, [0, 1], {**SET, "step": 1, "count": 2})
    assert coverage(read_log(path)).complete
    write(path, [2], {**SET, "step": 1, "count": 4}, resume=True)
    assert str(coverage(read_log(path))) == "3 of 4 inputs: missing 3"
    # Asked for fewer, it stays about all: nothing is dropped from the claim.
    write(path, [], {**SET, "step": 2, "count": 1}, resume=True)
    assert str(coverage(read_log(path))) == "3 of 4 inputs: missing 3"
    with pytest.raises(RszooError, match=r"another protocol:\n  --limit: 4 in the log, 9 n"):
        write(path, [], {**SET, "step": 2, "count": 9}, resume=True)


def test_a_log_of_before_says_from_now_on_which_inputs_it_is_about(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    before = {key: SET[key] for key in ("name", "split", "digest")}
    write(path, [0, 20], before)
    assert not coverage(read_log(path)).stated
    bytes_before = (tmp_path / "a.json").read_bytes()
    write(path, [], {**SET, "step": 20, "count": 1}, resume=True)  # it holds more than that
    assert (tmp_path / "a.json").read_bytes() == bytes_before
    write(path, [40], {**SET, "step": 20, "count": 18}, resume=True)
    assert str(coverage(read_log(path))) == "3 of 18 inputs: missing 60, 80, 100, ..."
    with pytest.raises(RszooError, match=r"images of --dataset: ab in the log, cd n"):
        write(path, [], {**SET, "digest": "cd", "step": 20, "count": 18}, resume=True)


def test_wrong_rows_that_were_deleted_are_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence = find("builtin/digits-cat_rs-0.50").evidence
    assert evidence is not None
    for name in ("certificates.tsv", "certificates.json"):
        shutil.copyfile(evidence.with_name(name), tmp_path / name)
    head, *rows = (tmp_path / "certificates.tsv").read_text().splitlines(keepends=True)
    right = [row for row in rows if row.split("\t")[4] == "1"]
    assert len(right) < len(rows) == 360
    (tmp_path / "certificates.tsv").write_text(head + "".join(right))
    log = read_log(tmp_path / "certificates.tsv")
    found = coverage(log)
    assert (found.listed, found.count, found.stated) == (len(right), 360, False)
    with pytest.raises(DataError, match=rf"{len(right)} of at least 360 inputs: missing .*; mend"):
        check_complete(log, remedy="mend it")
    with pytest.raises(SystemExit):
        main(("report", str(log.path)))
    said = " ".join(capsys.readouterr().out.split())
    assert f"{len(right)} of at least 360" in said
    assert f"warning: {tmp_path.name}: {found}" in said

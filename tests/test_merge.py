"""Logs of shards become the log of the whole, and nothing is chosen among answers."""

import json
from pathlib import Path

import pytest

from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.kinds import protocol_of
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.coverage import coverage
from rszoo.evaluation.job import LogFile
from rszoo.evaluation.log import CertificationLog, read_log
from rszoo.evaluation.merge import merge_logs
from rszoo.hub.catalog import find
from rszoo.hub.inputs import inputs_for
from rszoo.hub.job import certify_bundle
from rszoo.smoothing.interface import Budget
from rszoo_cli import main

DIGITS: dict[str, object] = {"name": "digits"}


def write(
    path: Path, indices: list[int], *, seed: int = 0, inputs: dict[str, object] = DIGITS
) -> Path:
    protocol = {"seed": seed, "n": 1000, "inputs": inputs}
    with CertificationLog.open(path, protocol_of(protocol), resume=False) as log:
        for idx in indices:
            given = certificate_from_votes(3, 900 + idx, n0=100, n=1000, alpha=0.001, sigma=0.5)
            log.append(idx, 3, given, 0.1)
    return path


def test_the_rows_of_shards_are_the_rows_of_the_whole(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.tsv", list(range(7)))
    shards = [write(tmp_path / f"{i}.tsv", list(range(i, 7, 3))) for i in (2, 0, 1)]
    merged = tmp_path / "folder" / "merged.tsv"
    assert merge_logs(shards, merged).listed == 7
    assert merged.read_bytes() == whole.read_bytes()
    assert merged.with_suffix(".json").read_bytes() == whole.with_suffix(".json").read_bytes()


def test_an_input_in_no_log(tmp_path: Path) -> None:
    about = {"name": "digits", "size": 9, "step": 1, "count": 9}
    shards = [write(tmp_path / f"{i}.tsv", list(range(i, 9, 3)), inputs=about) for i in range(3)]
    with pytest.raises(DataError, match=r"got 6 of 9 inputs: missing 2, 5, 8; add the other"):
        merge_logs(shards[:2], tmp_path / "merged.tsv")
    assert sorted(path.name for path in tmp_path.glob("merged*")) == []
    part = merge_logs(shards[:2], tmp_path / "part.tsv", partial=True)
    assert str(part) == "6 of 9 inputs: missing 2, 5, 8"
    assert str(coverage(read_log(tmp_path / "part.tsv"))) == str(part)
    assert merge_logs([tmp_path / "part.tsv", shards[2]], tmp_path / "all.tsv").complete


def test_an_input_in_two_logs(tmp_path: Path) -> None:
    shards = [write(tmp_path / "a.tsv", [0, 2]), write(tmp_path / "b.tsv", [1, 2])]
    with pytest.raises(DataError, match=r"^expected each input in one log, got 2 in .*a\.tsv"):
        merge_logs(shards, tmp_path / "merged.tsv")
    assert not (tmp_path / "merged.tsv").exists()


def test_shards_of_different_protocols(tmp_path: Path) -> None:
    shards = [write(tmp_path / "a.tsv", [0]), write(tmp_path / "b.tsv", [1], seed=7)]
    with pytest.raises(
        RszooError,
        match=r"b\.tsv and .* were made differently:\n  --seed: 7 in the first, 0 in the second",
    ):
        merge_logs(shards, tmp_path / "merged.tsv")


def test_shards_of_machines_that_measured_different_batch_sizes(tmp_path: Path) -> None:
    paths = [tmp_path / "a.tsv", tmp_path / "b.tsv"]
    for path, idx, size in zip(paths, (0, 1), (50, 100), strict=True):
        write(path, [idx])
        said = json.loads(path.with_suffix(".json").read_text())
        path.with_suffix(".json").write_text(json.dumps({**said, "batch_size": size}))
    assert merge_logs(paths, tmp_path / "all.tsv").listed == 2
    merged = read_log(tmp_path / "all.tsv").protocol
    assert merged is not None
    assert merged.values()["batch_size"] is None


def test_an_unfinished_shard(tmp_path: Path) -> None:
    shard = write(tmp_path / "a.tsv", [0, 1])
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"a\.tsv ends in an unfinished row; finish it"):
        merge_logs([shard], tmp_path / "merged.tsv")


def test_a_broken_row_of_a_shard(tmp_path: Path) -> None:
    shard = write(tmp_path / "a.tsv", [0, 1])
    shard.write_text(shard.read_text().replace("\t900\t", "\t990\t"))
    with pytest.raises(DataError, match=r"a\.tsv, line 2: expected p_lower=.* for votes=990"):
        merge_logs([shard], tmp_path / "merged.tsv")


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    shard = write(tmp_path / "a.tsv", [0])
    with pytest.raises(RszooError, match=r"^expected a new file, got .*a\.tsv, which exists"):
        merge_logs([shard], shard)
    (tmp_path / "merged.json").write_text('{"mine": 1}')
    with pytest.raises(RszooError, match=r"merged\.json exists and would be overwritten"):
        merge_logs([shard], tmp_path / "merged.tsv")


def test_a_log_of_the_original_code_has_no_protocol(tmp_path: Path) -> None:
    log = tmp_path / "a.tsv"
    log.write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t0.5\t1\t0:00:01\n")
    with pytest.raises(DataError, match=r"a\.tsv: expected a log of rszoo with at least"):
        merge_logs([log], tmp_path / "merged.tsv")


def test_shards_by_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant_bundle: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    def rszoo(*arguments: str) -> None:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert not caught.value.code

    certify = ("certify", "--model", str(constant_bundle), "--n", "500", "--limit", "5")
    for shard in ("1/2", "2/2"):
        rszoo(*certify, "--shard", shard, "--seed", "3")
    name = f"certificates/{constant_bundle.name}"
    rszoo("merge", f"{name}.1-of-2.tsv", f"{name}.2-of-2.tsv", "--out", f"{name}.tsv")
    rszoo(*certify, "--out", "whole.tsv", "--seed", "3")
    merged, whole = read_log(f"{name}.tsv"), read_log("whole.tsv")
    assert merged.protocol == whole.protocol
    assert [merged.certificate(row) for row in range(5)] == [
        whole.certificate(row) for row in range(5)
    ]
    # The merged log is the log of the whole, which is finished: it can go into the bundle.
    rszoo(*certify, "--resume", "--attach")
    assert (constant_bundle / "certificates.tsv").read_bytes() == Path(f"{name}.tsv").read_bytes()


def test_shards_of_a_cascade_hold_what_its_experts_say(tmp_path: Path) -> None:
    bundle = find("builtin/digits-cascade-0.50")
    inputs, budget = inputs_for(bundle, skip=100, limit=3), Budget(n0=20, n=200)
    paths = [tmp_path / "1.tsv", tmp_path / "2.tsv"]
    for number, path in enumerate(paths, start=1):
        certify_bundle(bundle, inputs.shard(number, 2), budget, log=LogFile(path=path))
    assert merge_logs(paths, tmp_path / "all.tsv").listed == 3
    merged, first = read_log(tmp_path / "all.tsv"), read_log(paths[0])
    assert merged.kind.name == "cascade"
    assert [merged.certificate(row) for row in (0, 2)] == [first.certificate(i) for i in (0, 1)]

"""What a bundle says is bounded, and compared with the bounds before anything is made of it."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from sealing import seal

from rszoo.certificates import claims, work
from rszoo.certificates.kinds import protocol_of
from rszoo.certificates.kinds.cascade import KIND as CASCADE
from rszoo.certificates.protocol import Protocol
from rszoo.errors import DataError, IntegrityError, RszooError
from rszoo.evaluation import content, rows
from rszoo.evaluation.log import CertificationLog
from rszoo.evaluation.metrics import default_radii
from rszoo.evaluation.table import read_log
from rszoo.hub import evidence, limits, manifest
from rszoo.hub.bundle import open_bundle
from rszoo.hub.catalog import find
from rszoo.hub.configs import read_config
from rszoo.hub.evidence import evidence_of
from rszoo.hub.files import CONFIG, EVIDENCE, MANIFEST, PROTOCOL, RECIPE, WEIGHTS
from rszoo.hub.manifest import Manifest
from rszoo.hub.origin import Origin
from rszoo.smoothing.decisions import RadiusTests

ROOT = Path(__file__).parents[1]
BUILTIN = ROOT / "zoo/rszoo/builtin"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUILTIN / "digits-gaussian-0.50", tmp_path / "it"))


def config_with(folder: Path, **values: Any) -> Path:
    path = folder / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(RszooError) as caught:
        read_config(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (
            {"input_shape": [3, 4096, 4096]},
            "input_shape: Value error, expected at most 16,777,216 values, got 50,331,648",
        ),
        (
            {"class_names": ["a"] * 100_001},
            "class_names: Tuple should have at most 100000 items after validation, not 100001",
        ),
        (
            {"class_names": ["a", "b" * 1001]},
            "class_names.1: String should have at most 1000 characters",
        ),
        ({"method": "m" * 201}, "method: String should have at most 200 characters"),
        ({"dataset": "d" * 4097}, "dataset: String should have at most 4096 characters"),
        ({"name": "n" * 201}, "name: Value error, expected a name that a file can have"),
        (
            {"architecture": {"name": "n" * 201}},
            "architecture: Value error, expected the name of a network",
        ),
    ],
)
def test_a_config_just_past_a_limit(folder: Path, values: dict[str, Any], complaint: str) -> None:
    assert complaint in refusal(config_with(folder, **values))


@pytest.mark.parametrize(
    "values",
    [
        {"input_shape": [1, 4096, 4096]},
        {"class_names": ["a"] * 100_000},
        {"class_names": ["a", "b" * 1000]},
        {"method": "m" * 200, "dataset": "d" * 4096, "name": "n" * 200},
    ],
)
def test_a_config_at_its_limits(folder: Path, values: dict[str, Any]) -> None:
    config = read_config(config_with(folder, **values))
    assert json.loads(config.to_json()).items() >= values.items()


@pytest.mark.parametrize(
    ("name", "role"), [("digits-dual-0.50", "experts"), ("digits-cascade-0.50", "experts")]
)
def test_parts_are_bounded(tmp_path: Path, name: str, role: str) -> None:
    folder = Path(shutil.copytree(BUILTIN / name, tmp_path / "it"))
    part = json.loads((folder / CONFIG).read_text())[role][0]
    read_config(config_with(folder, **{role: [part] * 100}))
    complaint = f"{role}: Tuple should have at most 100 items after validation, not 101"
    assert complaint in refusal(config_with(folder, **{role: [part] * 101}))


def test_more_parents_than_a_model_has_are_read_as_none() -> None:
    assert len(Origin.model_validate({"parents": [{}] * 1000}).parents) == 1000
    assert Origin.model_validate({"parents": [{}] * 1001}).parents == ()


def damage(folder: Path) -> str:
    with pytest.raises(IntegrityError) as caught:
        open_bundle(folder)
    assert str(caught.value).endswith(
        "; no bundle may have more; ask its author for a smaller one"
    )
    return f"{caught.value.path}: expected {caught.value.expected}, got {caught.value.actual}"


def test_a_manifest_is_looked_at_before_it_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (folder / MANIFEST).stat().st_size
    monkeypatch.setattr(manifest, "LARGEST_MANIFEST", size)
    open_bundle(folder)
    monkeypatch.setattr(manifest, "LARGEST_MANIFEST", size - 1)
    assert (
        damage(folder) == f"manifest.json: expected at most {size - 1:,} bytes, got {size:,} bytes"
    )


@pytest.mark.parametrize("name", [CONFIG, RECIPE, EVIDENCE, PROTOCOL, WEIGHTS])
def test_sizes_are_compared_before_a_file_is_looked_at(folder: Path, name: str) -> None:
    most = limits.MOST_BYTES.get(name, limits.LARGEST_FILE)
    content = json.loads((folder / MANIFEST).read_text())
    content["files"][name]["size"] = 2 * most
    (folder / MANIFEST).write_text(json.dumps(content))
    (folder / name).unlink()  # whoever looked at it would miss it
    assert damage(folder).startswith(f"{name}: expected at most ")


def test_the_number_of_files_is_bounded(folder: Path) -> None:
    content = json.loads((folder / MANIFEST).read_text())
    content["files"] |= {f"f{i}": {"sha256": "0" * 64, "size": 1} for i in range(100)}
    (folder / MANIFEST).write_text(json.dumps(content))
    assert (
        damage(folder) == f"manifest.json: expected at most 100 files, got {len(content['files'])}"
    )


def test_what_could_not_be_opened_is_not_written(tmp_path: Path) -> None:
    (tmp_path / RECIPE).write_text("a" * (limits.MOST_BYTES[RECIPE] + 1))
    with pytest.raises(IntegrityError, match=r"recipe.yaml: expected at most 65,536 bytes"):
        Manifest.of(tmp_path, origin=Origin())


def test_rows_are_counted_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = find("builtin/digits-gaussian-0.50")
    monkeypatch.setattr(evidence, "MOST_ROWS", 360)
    assert len(evidence_of(bundle)) == 360
    monkeypatch.setattr(evidence, "MOST_ROWS", 359)
    monkeypatch.setattr(rows, "_read_row", None)  # nothing can be read
    with pytest.raises(DataError, match="expected a log of at most 359 rows, got 360"):
        evidence_of(bundle)


def test_a_line_is_bounded_and_is_not_repeated_in_full(folder: Path) -> None:
    log = folder / EVIDENCE
    content = log.read_bytes()
    log.write_bytes(content + b"1" * rows.LONGEST_LINE + b"\n" + content.split(b"\n")[1] + b"\n")
    with pytest.raises(DataError) as caught:
        read_log(log)
    assert ", line 362: expected" in str(caught.value)
    assert len(str(caught.value)) < 1000
    log.write_bytes(content + b"1" * (rows.LONGEST_LINE + 1) + b"\n\n")
    with pytest.raises(DataError, match="line 362: expected at most 65536 bytes, got 65537"):
        read_log(log)


def test_a_row_of_very_many_experts_lists_none_of_them() -> None:
    log = (BUILTIN / "digits-cascade-0.50" / EVIDENCE).read_bytes().split(b"\n")
    names = log[0].decode().split("\t")
    row = dict(zip(names, log[1].decode().split("\t"), strict=True))
    values = {column.name: column.read(row[column.name]) for column in CASCADE.columns}
    assert CASCADE.fault(values) is None
    assert CASCADE.fault(values | {"experts": 10**12}) is not None


def test_the_radii_of_a_table_end_where_no_certificate_reaches(folder: Path) -> None:
    log = folder / "log"
    log.write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t3\t3\t1e12\t1\t0:00:01\n")
    radii = default_radii(read_log(log))
    assert (len(radii), radii[-1]) == (401, 100.0)


def test_the_page_states_the_limits() -> None:
    page = (ROOT / "docs/reference/bundle.md").read_text(encoding="utf-8")
    stated = dict(re.findall(r"^\| ([^|]+) \| ([0-9,]+)[^|]*\|$", page, flags=re.MULTILINE))
    expected = {
        "`manifest.json`": limits.LARGEST_MANIFEST,
        "files that it lists": limits.MOST_FILES,
        **{f"`{name}`": most for name, most in limits.MOST_BYTES.items()},
        "rows of it": limits.MOST_ROWS,
        "logs of attacks": limits.MOST_ATTACKS,
        "`attack-*.tsv`, `attack-*.json`, each": limits.LARGEST_ATTACK,
        "rows of a log of an attack": limits.MOST_ROWS,
        "rows of a log that lies in no bundle": rows.MOST_ROWS,
        "bytes of it": content.LARGEST_LOG,
        "line of a log": rows.LONGEST_LINE,
        "tests of a log that may stop early, which differ in radius, noise, n or alpha": (
            work.MOST_TESTS
        ),
        "draws that all of these may make, n each": work.MOST_DRAWS,
        "any other file, the weights among them": limits.LARGEST_FILE,
        "channels x height x width of an input": limits.MOST_VALUES,
        "classes": limits.MOST_CLASSES,
        "name of a class": limits.LONGEST_CLASS_NAME,
        "name of the bundle, the method, the network": limits.LONGEST_NAME,
        "name or path of the data set": limits.LONGEST_TEXT,
        "experts, members": limits.MOST_PARTS,
        "parents in the origin; more are read as none": limits.MOST_PARENTS,
        "noise level": 100,
        "draws of a test that may stop early, in a bundle or not": 10_000_000,
        "depth of a `cifar_resnet`": 1202,
        "hidden units of a mixing network": 4096,
    }
    assert stated == {what: f"{most:,}" for what, most in expected.items()}


def test_builtin_bundles_are_far_within_the_limits() -> None:
    for path in BUILTIN.iterdir():
        for name, most in limits.MOST_BYTES.items():
            if (path / name).exists():
                assert (path / name).stat().st_size < most / 10


@pytest.fixture
def early(tmp_path: Path) -> Path:
    """Return a log of three inputs that were certified at three radii."""
    path = tmp_path / "early.tsv"
    tests = RadiusTests.of([0.1, 0.2, 0.3], sigma=0.25, n=1000, alpha=0.001)
    protocol = protocol_of({"radii": [0.1, 0.2, 0.3], "sigma": 0.25, "n": 1000, "alpha": 0.001})
    with CertificationLog.open(path, protocol, resume=False) as log:
        for idx, share in enumerate((1.0, 0.84, 0.84)):
            votes = [int(look * share) for look in tests.looks]
            log.append(idx, 0, tests.certificate(0, votes, n0=9), 0.1)
    assert sorted(set(read_log(path).radius.tolist())) == [0.2, 0.3]
    return path


def nothing_is_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def worked_out(*given: object) -> None:
        raise AssertionError(f"a test at a radius was worked out: {given}")

    monkeypatch.setattr(claims, "enough", worked_out)


@pytest.mark.parametrize(("limit", "most"), [("MOST_TESTS", 2), ("MOST_DRAWS", 2000)])
def test_the_tests_of_a_log_are_counted_before_one_is_worked_out(
    early: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    monkeypatch.setattr(work, limit, most)
    assert len(read_log(early)) == 3  # equal ones count once
    monkeypatch.setattr(work, limit, most - 1)
    nothing_is_worked_out(monkeypatch)
    with pytest.raises(DataError, match=f"early.tsv: expected .*at most {most - 1:,} .*got more"):
        read_log(early)


def test_a_row_is_compared_with_its_protocol_before_its_votes_are_looked_at(
    early: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = early.read_text()
    for there, other, said in (
        ("\t0.3\t", "\t0.25\t", "radius=0.[23]0* by its protocol, got 0.25"),
        ("\t1000\t", "\t100000\t", "n=1000 by its protocol, got 100000"),
    ):
        assert there in text
        early.write_text(text.replace(there, other))
        with monkeypatch.context() as patched:
            nothing_is_worked_out(patched)
            with pytest.raises(DataError, match=said):
                read_log(early)


def test_evidence_is_compared_with_the_bundle_before_a_row_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = json.loads((folder / PROTOCOL).read_text())
    stated["model"]["weights_sha256"] = "0" * 64
    (folder / PROTOCOL).write_text(json.dumps(stated))
    seal(folder)
    monkeypatch.setattr(evidence, "read_log", None)  # no row can be read
    with pytest.raises(DataError, match=r"is not about .*: expected weights "):
        evidence_of(open_bundle(folder))


def test_rows_and_bytes_of_a_log_in_no_bundle_are_bounded(
    early: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = early.stat().st_size
    monkeypatch.setattr(content, "LARGEST_LOG", size)
    assert len(read_log(early, most_rows=3)) == 3
    with pytest.raises(DataError, match="expected a log of at most 2 rows, got 3"):
        read_log(early, most_rows=2)
    monkeypatch.setattr(content, "LARGEST_LOG", size - 1)
    with pytest.raises(DataError, match=f"expected a log of at most {size - 1} bytes, got more"):
        read_log(early)
    assert rows.MOST_ROWS > 1_300_000  # the training images of ImageNet


def test_more_inputs_than_a_log_may_have_rows_are_refused_before_one_is_certified(
    tmp_path: Path,
) -> None:
    def protocol(count: int) -> Protocol:
        return protocol_of({"inputs": {"size": count, "step": 1, "count": count}})

    CertificationLog.open(tmp_path / "a.tsv", protocol(rows.MOST_ROWS), resume=False).close()
    with pytest.raises(RszooError, match="expected at most 2,000,000 inputs of one log, got 2,0"):
        CertificationLog.open(tmp_path / "b.tsv", protocol(rows.MOST_ROWS + 1), resume=False)
    assert not (tmp_path / "b.tsv").exists()


def test_a_protocol_states_no_more_radii_and_experts_than_are_certified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = {"sigma": 0.5}
    protocol_of({"radii": [0.1] * work.MOST_TESTS})
    protocol_of({"experts": [network] * limits.MOST_PARTS})
    with pytest.raises(DataError, match="radii: Tuple should have at most 6000 items"):
        protocol_of({"radii": [0.1] * (work.MOST_TESTS + 1)})
    with pytest.raises(DataError, match="experts: Tuple should have at most 100 items"):
        protocol_of({"experts": [network] * (limits.MOST_PARTS + 1)})
    monkeypatch.setattr(work, "MOST_TESTS", 2)
    RadiusTests.of([0.1, 0.2], sigma=0.25, n=1000, alpha=0.001)
    with pytest.raises(ValueError, match="expected at most 2 tests at a radius"):
        RadiusTests.of([0.1, 0.2, 0.3], sigma=0.25, n=1000, alpha=0.001)

"""One door to the evidence of a bundle: a log that is not about it is shown by no reader."""

import ast
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.kinds import protocol_of
from rszoo.errors import DataError, RszooError
from rszoo.evaluation.log import CertificationLog, read_log
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.card import card_files
from rszoo.hub.catalog import find
from rszoo.hub.evidence import add_evidence, evidence_of, lost
from rszoo.hub.ids import HubId
from rszoo.hub.manifest import Manifest
from rszoo.hub.push import push
from rszoo_cli import app
from rszoo_cli.console import out

ROOT = Path(__file__).parents[1]
NAME = "digits-gaussian-0.50"
#: What reads the evidence of a bundle, and what it may say of a forged one.
READERS = (
    "show runs/NAME",
    "show runs/NAME --json",
    "show runs/NAME --lineage",
    "ls",
    "ls --json",
    "report runs/NAME",
    "verify runs/NAME --sample 0",
    "leaderboard runs/NAME",
    "leaderboard runs",
)

Protocol = dict[str, Any]


def forged(
    tmp_path: Path, change: Callable[[Protocol], None], *, rows: Callable[[str], str] = str
) -> Bundle:
    """Return a copy of a shipped bundle with another log, whose manifest is right."""
    folder = tmp_path / "runs" / NAME
    shutil.copytree(find(f"builtin/{NAME}").path, folder)
    protocol = json.loads((folder / "certificates.json").read_text())
    change(protocol)
    (folder / "certificates.json").write_text(json.dumps(protocol))
    log = folder / "certificates.tsv"
    log.write_text(rows(log.read_text()))
    Manifest.of(folder, origin=find(f"builtin/{NAME}").manifest.origin).write(folder)
    return open_bundle(folder)


def of_other_weights(protocol: Protocol) -> None:
    protocol["model"]["weights_sha256"] = "0" * 64


def of_other_noise(protocol: Protocol) -> None:
    protocol["sigma"] = 1.0


def with_larger_radii(text: str) -> str:
    """Return rows under twice the noise, each of which follows from its counts."""
    head, *rows = text.splitlines()
    changed = [head]
    for row in rows:
        values = row.split("\t")
        votes, n, alpha = int(values[7]), int(values[9]), float(values[10])
        given = certificate_from_votes(0, votes, n0=100, n=n, alpha=alpha, sigma=1.0)
        values[3], values[11] = repr(given.radius), "1.0"
        changed.append("\t".join(values))
    return "\n".join([*changed, ""])


def unchanged(protocol: Protocol) -> None:
    pass


def with_more_classes(text: str) -> str:
    """Return rows of which the last is of an eleventh class."""
    head, *rows = text.splitlines()
    values = rows[-1].split("\t")
    values[1] = values[2] = values[6] = "10"
    values[4] = "1"
    return "\n".join([head, *rows[:-1], "\t".join(values), ""])


def of_other_images(protocol: Protocol) -> None:
    protocol["inputs"]["digest"] = "0" * 64


FORGERIES = {
    "weights": (of_other_weights, str, "expected weights"),
    "sigma": (of_other_noise, with_larger_radii, "expected sigma 0.5, got 1.0"),
    "classes": (unchanged, with_more_classes, "expected label below 10"),
    "images": (of_other_images, str, "expected the images of digits, test"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_no_reader_shows_a_log_that_is_not_about_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    change, rows, reason = FORGERIES[name]
    bundle = forged(tmp_path, change, rows=rows)
    monkeypatch.chdir(tmp_path)
    for reader in READERS:
        done = CliRunner().invoke(app, reader.replace("NAME", NAME).split())
        said = " ".join(f"{done.output} {done.exception}".split())
        assert reason in said, reader
        listed = [line for line in done.stdout.splitlines() if line.startswith(f"runs/{NAME}")]
        assert all("360" not in line for line in listed), reader
    with pytest.raises(DataError, match=reason):
        card_files(bundle, "org/name")
    with pytest.raises(DataError, match=reason):
        push(bundle, HubId.parse("org/name"))


def test_a_true_copy_is_shown_by_every_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = forged(tmp_path, unchanged)
    monkeypatch.chdir(tmp_path)
    for reader in READERS:
        done = CliRunner().invoke(app, reader.replace("NAME", NAME).split())
        assert done.exit_code == 0, done.output
        assert "360" in done.output, reader
    assert "360 images of digits, test" in card_files(bundle, "org/name")["README.md"].decode()


def test_a_log_that_lacks_inputs_is_marked_and_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def right_ones(text: str) -> str:
        head, *rows = text.splitlines()
        kept = [row for row in rows if row.split("\t")[4] == "1"]
        return "\n".join([head, *kept, ""])

    bundle = forged(tmp_path, unchanged, rows=right_ones)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(out, "width", 200)  # no cell is folded
    count = len(evidence_of(bundle))
    lacking = f"{count} of at least 360"
    for reader in READERS[:2] + READERS[3:6]:
        done = CliRunner().invoke(app, reader.replace("NAME", NAME).split())
        said = " ".join(done.output.split())
        assert lacking in said or f'"listed": {count}, "count": 360' in said, reader
    done = CliRunner().invoke(app, ["verify", f"runs/{NAME}", "--sample", "0"])
    assert (done.exit_code, "the log is not complete" in done.output) == (1, True)
    with pytest.raises(DataError, match=rf"got {lacking} inputs: missing .*; certify the others"):
        push(bundle, HubId.parse("org/name"))


def test_only_a_complete_log_is_attached(tmp_path: Path) -> None:
    folder = tmp_path / NAME
    shutil.copytree(find(f"builtin/{NAME}").path, folder)
    for name in ("certificates.tsv", "certificates.json"):
        shutil.move(folder / name, tmp_path / name)
    Manifest.of(folder, origin=find(f"builtin/{NAME}").manifest.origin).write(folder)
    log = tmp_path / "certificates.tsv"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:5] + lines[6:]))
    with pytest.raises(DataError, match="359 of at least 360 inputs: missing 4; certify the oth"):
        add_evidence(open_bundle(folder), log)
    log.write_text("".join(lines))
    bundle = add_evidence(open_bundle(folder), log)
    assert len(evidence_of(bundle)) == len(read_log(log)) == 360


@pytest.fixture
def attachable(tmp_path: Path) -> tuple[Bundle, Path]:
    """Return a certified bundle and a copy of its log."""
    folder = Path(shutil.copytree(find(f"builtin/{NAME}").path, tmp_path / NAME))
    for name in ("certificates.tsv", "certificates.json"):
        shutil.copyfile(folder / name, tmp_path / name)
    return open_bundle(folder), tmp_path / "certificates.tsv"


def restate(log: Path, change: Callable[[Protocol], None]) -> None:
    protocol = json.loads(log.with_suffix(".json").read_text())
    change(protocol)
    log.with_suffix(".json").write_text(json.dumps(protocol))


def called_photos(protocol: Protocol) -> None:
    protocol["inputs"] |= {"name": "photos", "digest": "ab"}


def test_number_seven_of_another_set_is_another_input(attachable: tuple[Bundle, Path]) -> None:
    bundle, log = attachable
    assert lost(read_log(log), read_log(log)) == 0
    restate(log, called_photos)
    assert bundle.evidence is not None
    assert lost(read_log(bundle.evidence), read_log(log)) == 360
    with pytest.raises(RszooError, match=r"as many draws; 360 of 360 are missing; .* --overwrite"):
        add_evidence(bundle, log)
    assert add_evidence(bundle, log, overwrite=True).evidence is not None


def test_certificates_from_fewer_draws_are_less(tmp_path: Path) -> None:
    tables = {}
    for n in (1000, 10_000):
        log = tmp_path / f"{n}.tsv"
        about = protocol_of({"inputs": {"name": "x"}})
        with CertificationLog.open(log, about, resume=False) as it:
            for idx in range(3):
                given = certificate_from_votes(1, n, n0=9, n=n, alpha=0.001, sigma=0.5)
                it.append(idx, 1, given, 0.1)
        tables[n] = read_log(log)
    assert lost(tables[1000], tables[10_000]) == 0
    assert lost(tables[10_000], tables[1000]) == 3


def test_evidence_that_nobody_can_read_is_replaced(attachable: tuple[Bundle, Path]) -> None:
    bundle, log = attachable
    (bundle.path / "certificates.tsv").write_text("idx\tvotes\n1\tmany\n")
    origin = bundle.manifest.origin
    Manifest.of(bundle.path, origin=origin).write(bundle.path)
    fixed = add_evidence(open_bundle(bundle.path), log)
    assert len(evidence_of(fixed)) == 360


def test_what_is_not_certified_has_no_evidence(constant_bundle: Path) -> None:
    with pytest.raises(RszooError, match=r"it holds no log; rszoo certify --model .* --attach"):
        evidence_of(open_bundle(constant_bundle))
    with pytest.raises(RszooError, match="nothing is certified of such a network by itself"):
        evidence_of(find("builtin/digits-standard-0.00"))


def test_there_is_no_other_door() -> None:
    """Elsewhere the path of the evidence is compared with None, and never opened."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in (ROOT / "zoo/rszoo", ROOT / "cli/rszoo_cli")
        for path in package.rglob("*.py")
        if path.relative_to(ROOT).as_posix() != "zoo/rszoo/hub/evidence.py"
        for tree in [ast.parse(path.read_text())]
        for compared in [_compared(tree)]
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "evidence" and node not in compared
        if not isinstance(node.value, ast.Attribute)  # rszoo.hub.evidence
    ]
    assert found == []


def _compared(tree: ast.Module) -> list[ast.expr]:
    return [node.left for node in ast.walk(tree) if isinstance(node, ast.Compare)]

"""Numbers of different bounds never stand in one table, one column or one picture."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rszoo.certificates.kind import BOUNDS
from rszoo.certificates.kinds import kind_of_bound
from rszoo.certificates.protocol import Protocol
from rszoo.evaluation.data_set import data_set
from rszoo.evaluation.leaderboard.board import grouped
from rszoo.evaluation.leaderboard.columns import protocol
from rszoo.evaluation.leaderboard.entry import entry_of_log
from rszoo.evaluation.log import CertificationLog, LogTable, read_log
from rszoo.evaluation.metrics import differences, protocol_digest, summary
from rszoo.hub.card import card_files
from rszoo.hub.catalog import find
from rszoo.hub.evidence import add_evidence, evidence_of, lost
from rszoo.hub.manifest import Manifest
from rszoo.hub_server.certified import certified, computed
from rszoo.hub_server.tables import Row, numbers_table
from rszoo_cli import app
from rszoo_cli.console import out

NAME = "digits-gaussian-1.00"


def log_with(bound: str, path: Path) -> Path:
    """Write the shipped log of a model with another bound; the rest goes to the next class."""
    known = evidence_of(find(f"builtin/{NAME}"))
    one = kind_of_bound(bound)
    assert one.of_counts is not None
    assert known.protocol is not None
    stated = Protocol.model_validate({**known.protocol.values(), "kind": one.name})
    with CertificationLog.open(path, stated, resume=False) as log:
        for row in range(len(known)):
            old = known.certificate(row)
            counts, counts0 = [(old.n - old.votes) // 9] * 10, [0] * 10
            counts0[old.candidate] = old.n0
            counts[old.candidate] = 0
            counts[old.candidate] = old.n - sum(counts)
            budget = {"n0": old.n0, "n": old.n, "alpha": old.alpha, "sigma": old.sigma}
            given = one.of_counts(counts0, counts, **budget)
            log.append(int(known.idx[row]), int(known.label[row]), given, 0.1)
    return path


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("bounds")
    return [log_with(bound, folder / f"{bound}.tsv") for bound in BOUNDS]


@pytest.fixture(scope="module")
def logs(paths: list[Path]) -> list[LogTable]:
    return [read_log(path) for path in paths]


def test_logs_of_different_bounds_do_not_compare_models(logs: list[LogTable]) -> None:
    assert differences(logs[:1] * 2) == []
    assert differences(logs[:2]) == ["bound"]
    assert len({protocol_digest(log) for log in logs}) == 3
    assert [summary(log).bound for log in logs] == list(BOUNDS)


def test_report_has_a_table_for_each(paths: list[Path]) -> None:
    names = [str(path) for path in paths]
    said = CliRunner().invoke(app, ["report", *names]).stdout
    for bound, other in zip(BOUNDS, (*BOUNDS[1:], None), strict=True):
        part = said[said.index(f"bound: {bound}\n") :]
        part = part[: None if other is None else part.index(f"bound: {other}\n")]
        tables = part.split("p, the share")[0]
        assert [one for one in BOUNDS if f"\n{one} " in tables] == [bound]
    assert "the logs differ in bound: their rows do not compare models" in said
    alone = CliRunner().invoke(app, ["report", names[0]]).stdout
    assert "bound" not in alone.split("p, the share")[0]
    assert CliRunner().invoke(app, ["report", names[1]]).stdout.startswith("bound: runner-up\n")


def test_no_picture_shows_two(paths: list[Path], tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    both = ["report", *map(str, paths[:2]), "--plot", str(picture)]
    done = CliRunner().invoke(app, both)
    assert done.exit_code == 2
    assert "expected logs of one bound for one picture, got 'one-sided', 'runner-up'" in " ".join(
        done.output.replace("│", " ").split()
    )
    assert not picture.exists()


def test_a_leaderboard_has_a_group_for_each(logs: list[LogTable]) -> None:
    entries = [entry_of_log(log, model=log.name) for log in logs]
    groups = grouped(entries, [replace(entries[0], log=None, paper="A paper", model="paper")])
    assert [group.bound for group in groups] == list(BOUNDS)
    assert [len(group.rows) for group in groups] == [2, 1, 1]  # published numbers are one-sided
    assert [row.place for group in groups for row in group.rows if row.entry.log] == [1, 1, 1]
    assert protocol(groups[1]) == "n = 10,000, alpha = 0.001, runner-up bound, inputs: 360"


def with_log(path: Path, folder: Path) -> Path:
    """Write the shipped model with another log."""
    shutil.copytree(find(f"builtin/{NAME}").path, folder)
    shutil.copyfile(path, folder / "certificates.tsv")
    shutil.copyfile(path.with_suffix(".json"), folder / "certificates.json")
    Manifest.of(folder, origin=find(f"builtin/{NAME}").manifest.origin).write(folder)
    return folder


def test_cards_and_the_pages_of_a_hub_say_which(
    paths: list[Path], logs: list[LogTable], tmp_path: Path
) -> None:
    files = card_files(find(str(with_log(paths[1], tmp_path / NAME))), "org/name")
    card = files["README.md"].decode()
    assert "360 images of digits, test; runner-up bound, n = 10,000, alpha = 0.001. " in card
    assert "bound: runner-up" in card
    assert b"runner-up bound" in b"".join(files.values())
    stated = {
        "model-index": [
            {
                "results": [
                    {
                        "dataset": {"name": "digits"},
                        "metrics": [
                            {"type": "acr", "value": value, "args": {"sigma": 1.0, "bound": bound}}
                            for value, bound in ((0.1, None), (0.4, "runner-up"), (0.2, "magic"))
                        ],
                    }
                ]
            }
        ]
    }
    assert [(one.bound, one.acr) for one in certified(stated)] == [
        ("one-sided", 0.2),  # what is not known is taken for the usual one
        ("runner-up", 0.4),
    ]
    rows = [
        Row(f"org/{log.name}", "-", computed(summary(log), data_set(log.protocol))) for log in logs
    ]
    page = numbers_table(rows, by_model=True)
    assert page.count("<table") == 3
    assert [page.count(f"<h3>{bound} bound</h3>") for bound in BOUNDS] == [1, 1, 1]
    assert "<h3>" not in numbers_table(rows[:1], by_model=True)


def test_the_list_of_models_has_a_column_for_each(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_log(paths[1], tmp_path / "runs/other")
    monkeypatch.setattr(out, "width", 200)
    lines = CliRunner().invoke(app, ["ls", "--runs", str(tmp_path / "runs")]).stdout.splitlines()
    head = lines[0]
    assert head.split()[-3:] == ["ACR", "ACR,", "runner-up"]
    (other,) = [line for line in lines if "runs/other" in line]
    (usual,) = [line for line in lines if f"builtin/{NAME}" in line]
    assert other.split()[-2] == usual.split()[-1] == "-"
    shown = CliRunner().invoke(app, ["show", str(tmp_path / "runs/other")]).stdout
    assert "\nbound: runner-up\n" in shown


def test_another_bound_takes_the_place_of_evidence_only_if_that_is_asked_for(
    paths: list[Path], logs: list[LogTable], tmp_path: Path
) -> None:
    assert lost(logs[0], logs[1]) == 360
    assert lost(logs[1], logs[1]) == 0
    bundle = find(str(with_log(paths[0], tmp_path / NAME)))
    from rszoo.errors import RszooError

    with pytest.raises(RszooError, match=r"360 of 360 are missing; .* --overwrite"):
        add_evidence(bundle, paths[1])
    now = add_evidence(bundle, paths[1], overwrite=True)
    assert evidence_of(now).kind.bound == "runner-up"


def test_the_options_of_certify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    some = ["certify", "-m", f"builtin/{NAME}", "--n", "200", "--skip", "120", "--seed", "1"]

    def said(*more: str) -> str:
        done = CliRunner().invoke(app, [*some, *more])
        return " ".join(done.output.replace("│", " ").split())

    assert said("--runner-up", "--out", "a.tsv").startswith("bound: runner-up ")
    assert read_log("a.tsv").kind.name == "runner_up"
    assert said("--choose-bound", "--out", "b.tsv").startswith("bound: chosen ")
    assert read_log("b.tsv").kind.name == "chosen"
    assert "expected --runner-up or --choose-bound, got both" in said(
        "--runner-up", "--choose-bound"
    )
    assert "expected --choose-bound without --radii" in said("--choose-bound", "--radii", "0.25")
    assert said("--runner-up", "--radii", "0.25", "--out", "c.tsv").startswith("bound: runner-up ")
    assert read_log("c.tsv").kind.name == "early_runner_up"
    assert "--choose-bound, --n-max and --top-k need one noise level" in said(
        "--choose-bound", "--per-input-sigma", "nominal"
    )
    some[2] = "builtin/digits-cascade-0.50"
    assert "--runner-up is not for models made of others" in said("--runner-up")

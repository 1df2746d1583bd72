"""A log of given radii says nothing of any other radius, in no table and in no picture."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from typer.testing import CliRunner, Result

from rszoo.evaluation.leaderboard.board import grouped
from rszoo.evaluation.leaderboard.chart import chart
from rszoo.evaluation.leaderboard.columns import heading
from rszoo.evaluation.leaderboard.data import as_data
from rszoo.evaluation.leaderboard.entry import entry_of_log
from rszoo.evaluation.leaderboard.page import as_page
from rszoo.evaluation.leaderboard.published import published_entries
from rszoo.evaluation.log import LogTable, read_log
from rszoo.evaluation.metrics import paired_difference, summary
from rszoo.evaluation.plot import curve, picture
from rszoo_cli import app

SOME = ("certify", "-m", "builtin/digits-gaussian-1.00", "--n", "400", "--skip", "12")
ASKED = {
    "quarter": ("--radii", "0.25"),
    "half": ("--radii", "0.5"),
    "adaptive": ("--adaptive",),
    "all": (),
}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("logs")
    made = {name: str(folder / f"{name}.tsv") for name in ASKED}
    for name, options in ASKED.items():
        run(*SOME, *options, "--seed", "1", "--out", made[name])
    return made


@pytest.fixture(scope="module")
def logs(paths: dict[str, str]) -> dict[str, LogTable]:
    return {name: read_log(path) for name, path in paths.items()}


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done


def row_of(said: str, name: str) -> list[str]:
    """Return the cells of a log in the last table that has a line of it."""
    return [line for line in said.splitlines() if line.startswith(f"{name} ")][-1].split()


def test_report_leaves_out_what_was_not_asked(paths: dict[str, str]) -> None:
    said = run("report", paths["quarter"], paths["half"]).stdout
    assert row_of(said, "quarter")[2] == row_of(said, "half")[1] == "-"
    assert "-" not in (row_of(said, "quarter")[1], row_of(said, "half")[2])
    assert "\n-: not asked, the log is of other radii only\n" in said
    (heads,) = [line for line in said.splitlines() if line.startswith("radius ")]
    assert heads.split() == ["radius", "0.25", "0.50"]  # those of either log
    alone = run("report", paths["half"], "--radii", "0.3,0.5").stdout
    assert row_of(alone, "0.30") == ["0.30", "-"]
    assert "-: not asked" in alone
    assert "not asked" not in run("report", paths["adaptive"], paths["all"]).stdout


def test_json_has_null_there(paths: dict[str, str]) -> None:
    given = ("--json", "--radii", "0,0.25,0.5")
    quarter, adaptive = json.loads(
        run("report", paths["quarter"], paths["adaptive"], *given).stdout
    )
    assert [share is None for share in quarter["certified_accuracy"]] == [True, False, True]
    assert [interval is None for interval in quarter["intervals"]] == [True, False, True]
    assert quarter["curve"] == dict(
        zip(("0.00", "0.25", "0.50"), quarter["certified_accuracy"], strict=True)
    )
    assert quarter["clean"] is None  # of radius 0
    assert None not in adaptive["certified_accuracy"]


def test_shares_and_radii_that_were_asked_are_counted(logs: dict[str, LogTable]) -> None:
    log = logs["quarter"]
    known = summary(log, (0.1, 0.25, 0.25001)).by_radius()
    assert known == {0.25: float((log.correct & (log.radius >= 0.25)).mean())}
    assert known[0.25] > 0
    assert summary(log).radii == (0.25,)


def test_logs_that_do_not_compare_are_not_tested_and_it_is_said_first(
    paths: dict[str, str], logs: dict[str, LogTable]
) -> None:
    for first, second in (("quarter", "half"), ("quarter", "all"), ("adaptive", "all")):
        said = run("report", paths[first], paths[second]).stdout
        assert said.startswith("warning: the logs differ in radii: their rows do not compare")
        assert f"{second} - {first}" not in said
        assert "sign test" not in said
        assert paired_difference(logs[first], logs[second]) is None
    assert paired_difference(logs["quarter"], logs["quarter"]) is not None


def test_a_leaderboard_keeps_other_radii_in_tables_of_their_own(
    logs: dict[str, LogTable],
) -> None:
    entries = [entry_of_log(log, model=name) for name, log in logs.items()]
    groups = grouped(entries, published_entries())
    assert [[row.entry.model for row in group.rows] for group in groups] == [
        ["adaptive", "all"],
        ["quarter"],
        ["half"],
    ]
    assert [heading(group) for group in groups[1:]] == [
        "digits, sigma = 1, at radius 0.25 only",
        "digits, sigma = 1, at radius 0.50 only",
    ]
    assert [group.radii for group in groups[1:]] == [(0.25,), (0.5,)]
    data = as_data(groups)
    assert [one["given_radii"] for one in data] == [None, [0.25], [0.5]]
    assert [one["entries"][0]["clean"] is None for one in data] == [False, True, True]
    assert "at radius 0.25 only" in as_page(groups)


def test_published_numbers_stand_beside_every_radius_only(logs: dict[str, LogTable]) -> None:
    entries = [entry_of_log(logs[name], model=name) for name in ("quarter", "all")]
    groups = grouped(entries, [replace(entries[1], log=None, paper="A paper", model="paper")])
    assert [[row.entry.model for row in group.rows] for group in groups] == [
        ["all", "paper"],
        ["quarter"],
    ]


def test_pictures_have_points_where_it_was_asked(
    logs: dict[str, LogTable], tmp_path: Path
) -> None:
    whole, some = grouped([entry_of_log(logs[name], model=name) for name in ("quarter", "all")])
    assert chart(whole, ["a"]).count("<circle") == 0
    assert chart(some, ["a"]).count("<circle") == 1
    assert '<g class="gaussian" data-row="a"><path' not in chart(some, ["a"])
    assert '<path d="M0 6H28"' not in as_page([some])
    assert '<path d="M0 6H28"' in as_page([whole])
    curve([logs["half"]], tmp_path / "a.png")
    curve([logs["half"], logs["all"]], tmp_path / "b.png")


def test_a_curve_of_given_radii_is_markers_alone(
    logs: dict[str, LogTable], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    plot = Axes.plot

    def recorded(self: Axes, *values: object, **style: object) -> object:
        drawn.append((np.asarray(values[0]).tolist(), style["linestyle"]))
        return plot(self, *values, **style)  # type: ignore[arg-type]

    monkeypatch.setattr(Axes, "plot", recorded)
    picture([logs["quarter"]])
    assert drawn == [([0.25], "")]


def test_many_given_radii_are_shown_where_they_were_asked(logs: dict[str, LogTable]) -> None:
    log = logs["quarter"]
    assert log.protocol is not None
    many = tuple((i + 1) / 100 for i in range(50))
    asked = replace(log, protocol=log.protocol.model_copy(update={"radii": many}))
    (group,) = grouped([entry_of_log(asked, model="many")])
    assert len(group.radii) <= 20
    assert set(group.radii) <= set(many)
    assert None not in group.rows[0].accuracies
    assert heading(group).endswith("at radii 0.01, 0.02, 0.03, 0.04, ..., 0.50 (50 in all) only")

"""Before the work starts: how many draws, at which rate, how long, and what to do about it."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from rszoo.evaluation import plan as planning
from rszoo.evaluation import progress_bar
from rszoo.evaluation.formatting import slow_image
from rszoo.evaluation.inputs import InputSet
from rszoo.evaluation.job import LogFile, Subject, certify
from rszoo.evaluation.plan import planned
from rszoo.evaluation.progress_bar import ProgressBar
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.interface import Budget
from rszoo_cli import main


class Clock:
    """The time, which goes on by what is done."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic


class Timed(nn.Module):
    """A network that takes a millisecond for each image."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def forward(self, x: Tensor) -> Tensor:
        self.clock.now += len(x) / 1000
        return torch.stack([x[:, 0], -x[:, 0]], 1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress_bar, "time", clock)
    monkeypatch.setattr(planning, "time", clock)
    return clock


def shown(clock: Clock, *steps: tuple[float, int], **settings: Any) -> list[str]:
    """Return the lines that a bar prints when `steps` take so many seconds for so many units."""
    console = Console(file=io.StringIO(), width=200)
    given = {"total": 100_000, "unit": "draws", "each": 10_000, "how": "in float32 on cpu"}
    with ProgressBar(console, "certify a", faster="think", **given | settings) as bar:
        for seconds, amount in steps:
            clock.now += seconds
            bar.advance(amount)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_first_line_is_told_once_when_the_rate_is_known(clock: Clock) -> None:
    first = (5.0, 1000)  # warms up
    line = "certify a: 100,000 draws in float32 on cpu, 500 draws/s here, about 3.3 min"
    assert shown(clock, first, (1.0, 500)) == []
    assert shown(clock, first, (1.0, 500), (1.0, 500), (1.0, 9)) == [line]
    assert shown(clock, (5.0, 2500)) == []


def test_a_first_step_that_takes_long_counts(clock: Clock) -> None:
    line = "certify a: 100,000 draws in float32 on cpu, 5 draws/s here, about 5.6 h"
    warning = "warning: one image takes about 33.3 min; think"
    assert shown(clock, (20.0, 100)) == [line, warning]


def test_what_is_done_already_is_not_counted(clock: Clock) -> None:
    (line,) = shown(clock, (1.0, 0), (4.0, 4000), done=60_000)
    assert line == "certify a: 40,000 draws in float32 on cpu, 1,000 draws/s here, about 40.0 s"


def test_short_work_is_not_announced(clock: Clock) -> None:
    assert shown(clock, (1.0, 1000), (3.0, 60_000)) == []


def test_an_image_of_a_minute_is_no_reason_to_warn() -> None:
    assert slow_image(60.0, faster="think") is None
    assert slow_image(61.0, faster="think") == "warning: one image takes about 1.0 min; think"


def subject(clock: Clock) -> Subject:
    classifier = SmoothedClassifier(Timed(clock), sigma=0.5, num_classes=2, device="cpu")
    return Subject.of(classifier, name="timed")


POINTS = InputSet.of_own([(str(i), torch.tensor([i / 4])) for i in range(4)])


def test_a_plan_is_measured_and_nothing_is_certified(clock: Clock) -> None:
    plan = planned(subject(clock), POINTS, Budget(n0=100, n=50_000))
    assert (plan.inputs, plan.draws, plan.at_most) == (4, 4 * 50_100, False)
    assert plan.rate == pytest.approx(1000, rel=0.05)  # of them some are tried twice
    assert plan.seconds_each == pytest.approx(50.1, rel=0.05)
    assert clock.now < 10
    assert "4 inputs, 200,400 draws in float32 on cpu, " in str(plan)
    at_radii = planned(subject(clock), POINTS, Budget(n0=100, n=50_000, radii=(0.1,)))
    assert at_radii.at_most
    assert "4 inputs, at most 200,400 draws" in str(at_radii)


def test_a_plan_leaves_out_what_a_log_holds(clock: Clock, tmp_path: Path) -> None:
    log, budget = LogFile(path=tmp_path / "a.tsv"), Budget(n0=10, n=100)
    assert planned(subject(clock), POINTS, budget, log=log).inputs == 4
    certify(subject(clock), POINTS, budget, log=log)
    before = log.path.read_bytes()
    again = LogFile(path=log.path, resume=True)
    assert planned(subject(clock), POINTS, budget, log=again).inputs == 0
    assert log.path.read_bytes() == before


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as done:
        main([*arguments])
    assert done.value.code == 0


def test_the_command_says_it_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(planning, "_ENOUGH", 0.0)
    command = ["certify", "-m", "builtin/digits-gaussian-0.50", "--limit", "5", "--dry-run"]
    options = ["--device", "cpu", "--precision", "float32"]
    run(*command, *options, "--n", "1900")
    text = capsys.readouterr().out
    assert text.startswith(
        "certify digits-gaussian-0.50: 5 inputs, 10,000 draws in float32 on cpu"
    )
    run(*command, *options, "--json", "--per-input-sigma", "memory")
    found = json.loads(capsys.readouterr().out)
    assert (found["inputs"], found["draws"]) == (5, 5 * 100_100)
    assert found["seconds"] == pytest.approx(found["draws"] / found["rate"])
    assert list(tmp_path.iterdir()) == []

"""Certificates under attack: true ones hold, false ones are found, chance is allowed for."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch import Tensor
from typer.testing import CliRunner

from rszoo.certificates.base import Prediction
from rszoo.certificates.kinds import kind
from rszoo.errors import DataError
from rszoo.evaluation import breaking
from rszoo.evaluation.breaking import Breaking, Search, Trial, break_certificates
from rszoo.evaluation.job import LogFile
from rszoo.evaluation.log import LogTable, read_log
from rszoo.evaluation.progress import unseen
from rszoo.hub.attacked import broken_certificates
from rszoo.hub.catalog import find
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.evidence import evidence_of
from rszoo.hub.inputs import inputs_for
from rszoo.hub.job import certify_bundle
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.execution import Execution
from rszoo.smoothing.interface import Budget, Classifier
from rszoo.smoothing.lattice import check_on_lattice
from rszoo_cli import app

NAME = "builtin/digits-gaussian-0.25"
QUICK = Search(count=12, steps=10, draws=8, n=200, seed=1)


def found(log: LogTable, classifier: Classifier | None = None, search: Search = QUICK) -> Breaking:
    bundle = find(NAME)
    classifier = classifier or classifier_of(bundle, Execution(precision="float32"))
    with unseen(total=1, unit="") as meter:
        return break_certificates(
            classifier, log, inputs_for(bundle, skip=1).inputs, search, meter=meter
        )


def test_true_certificates_hold_and_false_ones_are_found() -> None:
    log = evidence_of(find(NAME))
    classifier = classifier_of(find(NAME), Execution(precision="float32"))
    torch.manual_seed(3)
    before = torch.get_rng_state()
    true = found(log, classifier)
    assert torch.equal(torch.get_rng_state(), before)
    assert (len(true.trials), true.points, true.broken, true.defect) == (12, 12, [], False)
    assert all(0.99 * t.radius < t.distance < t.radius for t in true.trials)
    # The control: the same log with radii that are twice too large.
    false = found(replace(log, radius=2.5 * log.radius))
    assert len(false.broken) > 6
    assert false.defect
    assert not any(trial.again for trial in false.broken)  # those that were certified are smaller
    assert all(trial.answer != trial.label for trial in false.broken)


class Recorded(SmoothedClassifier):
    """Records where it is asked, and answers another class, or abstains."""

    points: list[Tensor]
    label: int

    def predict(self, x: Tensor, **_: Any) -> Prediction:
        self.points.append(x)
        return Prediction(
            label=self.label, votes=1, runner_up_votes=0, p_value=0.5, n=1, alpha=0.5, sigma=0.25
        )


def recorded(label: int, *, sound: bool = False) -> Recorded:
    bundle = find(NAME)
    made = Recorded(
        bundle.network(), sigma=0.25, num_classes=10, input_shape=(1, 8, 8), sound=sound
    )
    made.points, made.label = [], label
    return made


@pytest.mark.parametrize("sound", [False, True])
def test_points_are_inside_and_on_the_lattice_of_sound_certificates(sound: bool) -> None:
    log, inputs = evidence_of(find(NAME)), inputs_for(find(NAME), skip=1).inputs
    classifier = recorded(-1, sound=sound)
    trials = found(log, classifier).trials
    images = {one.idx: one.image() for one in inputs}
    for trial, point in zip(trials, classifier.points, strict=True):
        shift = point.double() - images[trial.idx].double()
        assert shift.norm() < trial.radius + 1e-6
        assert trial.distance < trial.radius
        assert trial.distance == pytest.approx(shift.norm().item(), abs=1e-5)
        assert trial.distance > 0
        with nullcontext() if sound else pytest.raises(DataError, match="multiples of 1/255"):
            check_on_lattice(point)
    assert [trial.broken for trial in trials] == [False] * 12  # an abstention breaks nothing


def test_one_that_fresh_draws_certify_again_is_a_defect() -> None:
    # A classifier whose PREDICT contradicts its CERTIFY.
    search = replace(QUICK, count=1)
    log = evidence_of(find(NAME))
    other = (int(log.predict[log.predict >= 0][0]) + 1) % 10
    result = found(log, recorded(other), search)
    assert [(t.broken, t.again) for t in result.trials] == [(True, True)]
    assert result.p_value == pytest.approx(0.001, rel=1e-6)  # which alone would be no defect
    assert result.defect


@pytest.mark.parametrize(
    "asked", [{}, {"radii": (0.1, 0.2)}, {"bound": "runner-up"}, {"n_max": 80}]
)
def test_fresh_draws_are_made_as_those_of_the_log(asked: dict[str, Any], tmp_path: Path) -> None:
    bundle, log = find(NAME), LogFile(path=tmp_path / "a.tsv")
    budget = Budget(n0=10, n=40, alpha=0.01, seed=1, **asked)
    certify_bundle(bundle, inputs_for(bundle, limit=2), budget, log=log)
    again = breaking._budget(read_log(log.path), 0, seed=2)
    assert again == replace(budget, seed=2)


def result(broken: int, *, count: int = 200, again: bool = False) -> Breaking:
    trial = Trial(label=1, radius=0.5, distance=0.4, answer=1)
    bad = replace(trial, answer=2, again=again)
    trials = (bad,) * broken + (trial,) * (count - broken)
    return Breaking(trials=trials, points=count, seed=0, alpha=0.001, level=0.001)


def test_chance_explains_some() -> None:
    assert result(0).p_value == 1.0
    for broken in range(1, 6):
        assert result(broken).p_value == pytest.approx(binom.sf(broken - 1, 200, 0.001), abs=1e-9)
        assert result(broken).defect == (broken > result(0).explained)
    assert result(0).explained == 3  # P(Bin(200, 0.001) >= 4) = 5e-5 < 0.0005 <= P(>= 3)
    assert result(1, again=True).defect


def test_what_is_no_certificate_of_the_bundle_is_refused() -> None:
    log = evidence_of(find(NAME))
    for name in ("nominal", "memory", "original"):
        with pytest.raises(DataError, match="expected certificates of a bundle alone, with coun"):
            found(replace(log, kind=kind(name)))
    nothing = replace(log, predict=np.full_like(log.predict, -1))
    with pytest.raises(DataError, match="got abstentions alone"):
        found(nothing)


@pytest.mark.parametrize("name", ["digits-dual-0.50", "digits-cascade-0.50"])
def test_experts_are_attacked_one_by_one(name: str) -> None:
    bundle = find(f"builtin/{name}")
    result = broken_certificates(bundle, evidence_of(bundle), replace(QUICK, count=3))
    assert (len(result.trials), result.points) == (3, 6)
    assert not result.defect


def test_the_command() -> None:
    options = ["attack", NAME, "--within-certificates", "--limit", "5", "--n", "200"]
    done = CliRunner().invoke(app, [*options, "--json"])
    values = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (values["certificates"], values["broken"], values["defect"]) == (5, [], False)
    shown = CliRunner().invoke(app, options)
    assert "no defect found by this attack" in shown.stdout
    assert CliRunner().invoke(app, [*options, "--out", "a.tsv"]).exit_code == 2
    log = evidence_of(find(NAME))
    assert log.protocol is not None
    used = CliRunner().invoke(app, [*options, "--seed", str(log.protocol.seed)])
    assert used.exit_code == 2

"""Certificates of a mix at given radii: those of its smoothed part, less what the weight costs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.special import ndtri
from torch import Tensor, nn
from typer.testing import CliRunner

import rszoo
from rszoo.certificates.base import ABSTAIN
from rszoo.certificates.kinds import kind
from rszoo.errors import DataError
from rszoo.evaluation.given import inputs_given
from rszoo.evaluation.log import read_log
from rszoo.evaluation.replay import planned, replay
from rszoo.evaluation.verify import recertify
from rszoo.hub.catalog import find
from rszoo.hub.kinds.mixed import compose_mixed
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.mixed import MixedClassifier
from rszoo.smoothing.mixing_weights import FixedWeight
from rszoo.theory.mixing import lost_radius
from rszoo_cli import app

SIGMA, ALPHA_MIX = 0.5, 0.76
LOST = SIGMA * float(ndtri(1 / (2 * ALPHA_MIX)))


class FirstPixel(nn.Module):
    """Answers 1 where the first pixel is positive: its smoothed radius is that pixel exactly."""

    def forward(self, x: Tensor) -> Tensor:
        first = x.flatten(1)[:, :1]
        return torch.cat([-first, first], 1)


class Against(nn.Module):
    """A standard network that answers 0, as surely as can be."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor([[50.0, -50.0]]).expand(len(x), 2)


def mix() -> MixedClassifier:
    robust = SmoothedClassifier(
        FirstPixel(), sigma=SIGMA, num_classes=2, input_shape=(1, 2, 2), device="cpu"
    )
    return MixedClassifier(Against(), robust, weight=ALPHA_MIX)


IMAGES = torch.stack([torch.full((1, 2, 2), value) for value in (0.1, 0.4, 0.7, 0.9)])
HOW: dict[str, Any] = {"n": 20_000, "seed": 3}


def test_a_half_space_is_certified_up_to_its_distance_less_the_weight() -> None:
    # A mix that is answered against everywhere changes its answer exactly there.
    assert lost_radius(SIGMA, ALPHA_MIX) == pytest.approx(LOST)
    x = IMAGES[2]
    near = 0.7 - LOST
    found = mix().certify(x, radii=[0.0, near - 0.05, near, near + 0.05], **HOW)
    assert (found.label, found.radius) == (1, near - 0.05)
    assert found.spent < 20_000 or found.draws < 20_000
    assert mix().certify(IMAGES[0], radii=[0.0], **HOW).label == ABSTAIN
    # Control: the radii of the robust part hold for it alone.
    assert mix().robust.certify(x, radii=[near + 0.05], **HOW).label == 1


def test_it_is_what_all_draws_give_or_less() -> None:
    for image in IMAGES:
        all_draws = mix().certify(image, **HOW)
        radii = [0.02 * i for i in range(35)]
        early = mix().certify(image, radii=radii, **HOW)
        assert early.radius <= all_draws.radius + 0.02
        assert early.radius > all_draws.radius - 0.06 or all_draws.radius < 0.06


@pytest.mark.parametrize("radii", [[], [-0.1], [1.1], [float("nan")]])
def test_radii_that_cannot_be_certified(radii: list[float]) -> None:
    with pytest.raises(ValueError, match=r"^expected radii from 0 to 1\.0282, the most that n="):
        mix().certify(IMAGES[0], radii=radii, n=1000)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "a.tsv"
    radii = [0.0, 0.1, 0.3]
    found = rszoo.certify(mix(), IMAGES, radii=radii, log=path, progress=False, **HOW)
    table = read_log(path)
    assert table.kind is kind("mixed_early")
    assert found.certificates == [table.certificate(row) for row in range(4)]
    assert found.radii.tolist() == [0.0, 0.1, 0.3, 0.3]
    return path


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"radius": "0.3"}, "predict=-1"),
        ({"radius": "0.2"}, "radius=0.[13] by its protocol"),
        ({"alpha_mix": "1.0"}, "alpha_mix=0.76 by its protocol"),
        ({"votes": "20001"}, "votes <= draws <= spent <= n"),
        ({"p_lower": "0.99"}, "p_lower="),
        ({"draws": "20000", "spent": "20000"}, "predict=-1"),
    ],
)
def test_what_does_not_follow_from_the_votes_is_refused(
    log: Path, changed: dict[str, str], problem: str
) -> None:
    head, first, second, *others = log.read_text().splitlines()
    row = {**dict(zip(head.split("\t"), second.split("\t"), strict=True)), **changed}
    log.write_text("\n".join([head, first, "\t".join(row.values()), *others]) + "\n")
    with pytest.raises(DataError, match=f"line 3: expected {problem}"):
        read_log(log)


def test_a_true_log_is_confirmed_and_drawn_again(log: Path) -> None:
    table, mixed = read_log(log), mix()
    points = inputs_given(mixed, IMAGES).inputs
    found = recertify(mixed, table, points, draws=2000, level=0.01, seed=9)
    assert all(one.agrees for one in found)
    again = replay(mixed, table, planned(table, points, draws=10**6, seed=0), level=0.01)
    assert len(again.rows) == 4
    assert not again.disagreeing


def test_the_options_of_certify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parts = {"standard": "builtin/digits-standard-0.00", "robust": "builtin/digits-cat_rs-0.25"}
    found = {name: find(id) for name, id in parts.items()}
    compose_mixed(tmp_path / "mix", weight=FixedWeight(0.76), **found)
    some = ["certify", "-m", "mix", "--n", "1000", "--skip", "60", "--seed", "1"]

    def said(*more: str) -> str:
        done = CliRunner().invoke(app, [*some, *more])
        return " ".join(done.output.replace("│", " ").split())

    assert "draws per image" in said("--radii", "0,0.1", "--out", "a.tsv")
    assert read_log("a.tsv").tested == (0.0, 0.1)
    assert "draws per image" in said("--adaptive", "--out", "b.tsv")
    assert read_log("b.tsv").kind is kind("mixed_early")
    assert "expected --radii from 0 to 0.5" in said("--radii", "0.6")  # the part: 0.61
    assert "certify no radius of this mix" in said("--n", "2", "--adaptive")
    done = CliRunner().invoke(app, ["verify", "a.tsv", "--model", "mix"])
    assert done.exit_code == 0, done.output

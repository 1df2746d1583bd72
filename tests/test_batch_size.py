"""The batch size is measured, written down, and kept by a log that is continued."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from rszoo.evaluation import job
from rszoo.smoothing.batch_size import measured_batch_size
from rszoo.smoothing.noise import CHUNK
from rszoo.smoothing.votes import default_batch_size
from rszoo_cli import app

SHAPE = torch.Size((1, 28, 28))
CPU = torch.device("cpu")


class Sleeper(nn.Module):
    """Takes as long as `seconds` says for a batch of some size."""

    def __init__(self, seconds: Callable[[int], float]) -> None:
        super().__init__()
        self.seconds = seconds

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(self.seconds(len(x)))
        return x.flatten(1)[:, :2]


def test_a_cost_per_call_wants_large_batches() -> None:
    found = measured_batch_size(Sleeper(lambda size: 0.01), SHAPE, CPU, "float32")
    assert found == 500 == 4 * default_batch_size(SHAPE, CPU)


def test_a_cost_that_grows_faster_than_the_batch_wants_small_ones() -> None:
    found = measured_batch_size(Sleeper(lambda size: 2e-6 * size**2), SHAPE, CPU, "float32")
    assert found in (40, 50)
    assert CHUNK % found == 0


def protocol_of(*arguments: str) -> dict[str, object]:
    result = CliRunner().invoke(app, ["certify", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(Path("a.json").read_text())


def test_it_is_recorded_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant_bundle: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    certify = ["--model", str(constant_bundle), "--n", "500", "--out", "a.tsv", "--device", "cpu"]
    assert protocol_of(*certify, "--limit", "2", "--batch-size", "7")["batch_size"] == 7
    monkeypatch.setattr(job, "_WORTH_MEASURING", 1)
    assert protocol_of(*certify, "--limit", "3", "--resume")["batch_size"] == 7
    assert len(Path("a.tsv").read_text().splitlines()) == 4
    with pytest.raises(Exception, match="batch-size: 7 in the log, 8 now"):
        protocol_of(*certify, "--limit", "3", "--resume", "--batch-size", "8")


def test_few_draws_take_the_usual_size_and_many_a_measured_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant_bundle: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rszoo.evaluation.job.measured_batch_size", lambda *given: 40)
    certify = ["--model", str(constant_bundle), "--n", "500", "--limit", "2", "--out", "a.tsv"]
    usual = default_batch_size(torch.Size((1, 8, 8)), CPU)
    assert protocol_of(*certify, "--device", "cpu")["batch_size"] == usual
    Path("a.tsv").unlink()
    Path("a.json").unlink()
    monkeypatch.setattr(job, "_WORTH_MEASURING", 1000)
    assert protocol_of(*certify, "--device", "cpu")["batch_size"] == 40


def test_no_more_than_a_chunk() -> None:
    certify = ["certify", "--model", "builtin/digits-cat_rs-0.50", "--batch-size"]
    assert CliRunner().invoke(app, [*certify, str(CHUNK + 1)]).exit_code == 2

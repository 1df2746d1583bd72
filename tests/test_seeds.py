"""A certificate is drawn under a seed that nobody knew, which is written down."""

import json
import secrets
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rszoo.certificates.base import Certificate, Prediction
from rszoo.evaluation.inputs import InputSet
from rszoo.evaluation.job import LogFile, Subject, certify, seed_of
from rszoo.evaluation.log import read_log
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.interface import Budget
from rszoo.smoothing.memory import Memory
from rszoo.smoothing.noise import CHUNK, Stream, random_seed
from rszoo.smoothing.schemes.generator import SCHEME
from rszoo_cli import main

SHAPE, SIGMA = (1, 2, 3), 0.5

Rszoo = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random seeds are 1001, 1002, ... here."""
    numbers = count(1001)
    secret = SimpleNamespace(randbits=lambda bits: next(numbers))
    monkeypatch.setattr("rszoo.smoothing.noise.secrets", secret)


@pytest.fixture
def rszoo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Rszoo:
    monkeypatch.chdir(tmp_path)
    np.save("two.npy", np.random.default_rng(0).integers(0, 256, (2, 1, 8, 8), np.uint8))

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return call


def smoothed(network: nn.Module | None = None) -> SmoothedClassifier:
    network = network or nn.Sequential(nn.Flatten(), nn.Linear(6, 2))
    return SmoothedClassifier(
        network, sigma=SIGMA, num_classes=2, device="cpu", precision="float32"
    )


class Fitted(nn.Module):
    """Answers 1 to the noisy copies of one input under one seed, and 0 to everything else."""

    def __init__(self, x: Tensor, *, seed: int) -> None:
        super().__init__()
        chunks = [
            SCHEME.chunk(x.shape, seed=SCHEME.seed_of(x, seed), chunk=stream, device=x.device)
            for stream in (Stream.SELECTION, Stream.ESTIMATION, Stream.PREDICTION)
        ]
        self.known = torch.cat([SIGMA * chunk + x for chunk in chunks]).flatten(1)[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        known = torch.isin(x.flatten(1)[:, 0], self.known).float()
        return torch.stack([1 - known, known], 1)


def test_a_network_that_is_fitted_to_a_seed_deceives_under_that_seed_alone() -> None:
    x = torch.rand(SHAPE)
    classifier = smoothed(Fitted(x, seed=0))
    deceived, certificate = (classifier.certify(x, n=CHUNK, seed=seed) for seed in (0, None))
    assert isinstance(deceived, Certificate)
    assert isinstance(certificate, Certificate)
    assert (deceived.label, deceived.votes) == (1, CHUNK)  # of radius 1.23; the truth is 0
    assert (certificate.label, certificate.votes) == (0, CHUNK)
    guessed, prediction = (classifier.predict(x, n=CHUNK, seed=seed) for seed in (0, None))
    assert isinstance(guessed, Prediction)
    assert isinstance(prediction, Prediction)
    assert (guessed.label, prediction.label) == (1, 0)


def test_who_names_no_seed_gets_another_each_time() -> None:
    classifier, x = smoothed(), torch.rand(SHAPE)
    first, second = (classifier.certify(x, n=5000) for _ in range(2))
    assert first != second
    assert first == classifier.certify(x, n=5000, seed=1001)
    assert second == classifier.certify(x, n=5000, seed=1002)
    assert classifier.predict(x) == classifier.predict(x, seed=1003)
    assert (Budget().seed, Budget().seed, Budget(seed=0).seed) == (1004, 1005, 0)


def test_seeds_are_random(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rszoo.smoothing.noise.secrets", secrets)
    seeds = {random_seed() for _ in range(100)}
    assert len(seeds) == 100  # two of them agree with a probability of 10^-6
    assert max(seeds) < 2**32
    assert max(seeds) > 2**31


def test_a_certification_says_its_seed_and_its_log_does(tmp_path: Path) -> None:
    subject = Subject.of(smoothed(), name="mine")
    inputs = InputSet.of_own([("a", torch.rand(SHAPE)), ("b", torch.rand(SHAPE))])
    budget, log = Budget(n=100), LogFile(path=tmp_path / "a.tsv")
    assert certify(subject, inputs, budget, log=log).seed == budget.seed == 1001
    protocol = read_log(log.path).protocol
    assert protocol is not None
    assert protocol.seed == 1001
    assert seed_of(log, weights="ab") is seed_of(None, weights="ab") is None


def test_the_seed_of_a_log_is_taken_for_its_own_weights_alone(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").touch()
    stated = {"seed": 7, "model": {"weights_sha256": "ab"}}
    (tmp_path / "a.json").write_text(json.dumps(stated))
    for restart in (False, True):
        log = LogFile(path=tmp_path / "a.tsv", resume=True, restart=restart)
        assert seed_of(log, weights="ab") == 7
        assert seed_of(log, weights="cd") is None
    (tmp_path / "a.json").write_text('{"seed": 7}')
    assert seed_of(LogFile(path=tmp_path / "a.tsv", resume=True), weights="ab") is None


def test_a_log_is_continued_with_its_seed(rszoo: Rszoo, constant_bundle: Path) -> None:
    command = ("certify", "-m", str(constant_bundle), "--n", "100", "--limit", "4")
    assert rszoo(*command, "--out", "a.tsv")[0] == 0
    whole = Path("a.tsv").read_text()
    Path("a.tsv").write_text("".join(whole.splitlines(keepends=True)[:3]))
    assert rszoo(*command, "--out", "a.tsv", "--resume")[0] == 0
    assert json.loads(Path("a.json").read_text())["seed"] == 1001
    assert [line.split("\t")[:4] for line in Path("a.tsv").read_text().splitlines()] == [
        line.split("\t")[:4] for line in whole.splitlines()
    ]
    code, _, error = rszoo(*command, "--out", "a.tsv", "--resume", "--seed", "7")
    assert code == 1
    assert "seed: 1001 in the log, 7 now" in error
    assert rszoo(*command, "--out", "b.tsv", "--resume")[0] == 0
    assert json.loads(Path("b.json").read_text())["seed"] == 1002


def test_shards_are_given_one_seed(rszoo: Rszoo, constant_bundle: Path) -> None:
    command = ("certify", "-m", str(constant_bundle), "--n", "100", "--limit", "4", "--shard")
    code, _, error = rszoo(*command, "1/2")
    framed = " ".join(" ".join(line.strip("│ ") for line in error.splitlines()).split())
    assert code == 2
    assert "expected --seed with --shard, the same for all shards" in framed
    assert "--seed 1001" in framed
    assert not Path("certificates").exists()
    for shard in ("1/2", "2/2"):
        assert rszoo(*command, shard, "--seed", "1001")[0] == 0
    assert rszoo(*command, "1/2", "--resume")[0] == 0  # its log knows
    shards = [f"certificates/{constant_bundle.name}.{i}-of-2.tsv" for i in (1, 2)]
    assert rszoo("merge", *shards, "--out", "all.tsv")[0] == 0


def test_own_inputs_and_predictions_say_it(rszoo: Rszoo, constant_bundle: Path) -> None:
    for command in ("certify", "predict"):
        asked = (command, "-m", str(constant_bundle), "--n", "100", "two.npy")
        shown = rszoo(*asked)[1].splitlines()[-1]
        assert shown in ("seed 1001", "seed 1003")
        first, second = json.loads(rszoo(*asked, "--json")[1])
        assert first["seed"] == second["seed"] in (1002, 1004)
        assert rszoo(*asked, "--seed", "5")[1].splitlines()[-1] == "seed 5"


def test_a_memory_goes_on_under_its_seed(rszoo: Rszoo, constant_bundle: Path) -> None:
    command = ("certify", "-m", str(constant_bundle), "--n", "100", "--per-input-sigma", "memory")
    own = (*command, "--memory", "a.memory", "two.npy")
    assert rszoo(*own)[1].splitlines()[-1] == "seed 1001"
    assert rszoo(*own)[1].splitlines()[-1] == "seed 1001"
    code, _, error = rszoo(*own, "--seed", "7")
    assert code == 1
    assert "seed: 1001, 7 now" in error
    with Memory.open("a.memory") as memory:
        assert memory.seed == 1001
    with Memory.open() as memory:
        assert memory.seed is None

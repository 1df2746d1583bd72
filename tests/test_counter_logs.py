"""Logs whose noise is drawn by counter: certified, continued and drawn again on a CPU."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from edited_logs import edited, stated, votes
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from rszoo.certificates.kinds import protocol_of
from rszoo.certificates.protocol import Protocol
from rszoo.errors import RszooError
from rszoo.evaluation import repetition
from rszoo.evaluation.log import protocol_path, read_log
from rszoo.evaluation.machine import this_machine
from rszoo.hub.catalog import find
from rszoo.hub.verification import Recheck, verify_log
from rszoo.smoothing import schemes
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.noise import CHUNK, Stream
from rszoo.smoothing.schemes.counter import SCHEME
from rszoo_cli import app
from rszoo_cli.verify_shown import as_json, lines

MODEL = "builtin/digits-gaussian-0.50"
NAME, OTHER = "sha256-philox4x32-10-1000", "sha256-fmix32-1000"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def certified(out: Path, *options: str) -> Result:
    draws = ("--n", "400", "--limit", "6", "--seed", "3", "--noise-scheme", "counter")
    where = ("--device", "cpu", "--precision", "float32", "--out", str(out))
    return run("certify", "-m", MODEL, *draws, *where, *options)


def verified(log: Path, *, device: str | None = "cpu") -> tuple[bool, str, dict[str, Any]]:
    """Return whether all agree, what is printed, and what is said of the replay."""
    recheck = Recheck(draws=50, replayed=10_000, level=1e-6, seed=5)
    found = verify_log(read_log(log), find(MODEL), recheck, device=device)
    return found.agrees, "\n".join(lines(found)), as_json(found)["replay"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "a.tsv"
    done = certified(out)
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture
def log(made: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "a.tsv"
    copy.write_bytes(made.read_bytes())
    protocol_path(copy).write_bytes(protocol_path(made).read_bytes())
    return copy


class Linear(nn.Module):
    """Ten classes, one for each of the first pixels, of which the largest wins."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :10]


def classifier(**options: Any) -> SmoothedClassifier:
    return SmoothedClassifier(Linear(), sigma=0.5, num_classes=10, device="cpu", **options)


def test_votes_are_those_of_its_draws() -> None:
    x = torch.rand(1, 4, 4)
    counts = torch.zeros(10, dtype=torch.int64)
    for chunk in range(3):
        where = {"chunk": Stream.ESTIMATION + chunk, "device": x.device}
        noise = SCHEME.chunk(x.shape, seed=SCHEME.seed_of(x, 7), **where)
        answers = Linear()(x + 0.5 * noise).argmax(1)[: 2500 - chunk * CHUNK]
        counts += answers.bincount(minlength=10)
    by_counter = classifier(noise_scheme="counter")
    assert by_counter.votes(x, n=2500, seed=7) == counts.tolist()
    assert by_counter.with_sigma(0.25).scheme is SCHEME
    assert classifier(batch_size=7, noise_scheme="counter").votes(x, n=2500, seed=7) == (
        counts.tolist()
    )
    assert classifier().votes(x, n=2500, seed=7) != counts.tolist()


def test_sound_votes_are_on_the_lattice_under_the_same_scheme() -> None:
    x = torch.randint(256, (1, 4, 4)) / 255
    sound = classifier(noise_scheme="counter", sound=True)
    assert sound.protocol_entries["noise"] == f"{NAME}-lattice-255"
    plain = classifier(noise_scheme="counter").votes(x, n=1000, seed=1)
    rounded = sound.votes(x, n=1000, seed=1)
    assert 0 <= sum(abs(a - b) for a, b in zip(plain, rounded, strict=True)) <= 20


def test_schemes_have_names() -> None:
    assert schemes.names() == ("counter", "generator")
    for name, stating in (("counter", NAME), ("generator", OTHER)):
        assert schemes.load(name).name == stating
        assert schemes.stated(stating) == schemes.stated(f"{stating}-lattice-255") == name
    assert schemes.is_same_everywhere(f"{NAME}-lattice-255")
    for other in (OTHER, "another", None, ""):
        assert not schemes.is_same_everywhere(other)
    assert schemes.stated("another") is schemes.stated(None) is None


def test_an_unknown_scheme_is_refused_by_name() -> None:
    with pytest.raises(RszooError, match="unknown noise scheme 'philox'; expected one of"):
        classifier(noise_scheme="philox")
    some = ["certify", "-m", MODEL, "--limit", "1", "--noise-scheme", "count"]
    done = CliRunner().invoke(app, some)
    assert done.exit_code == 2
    words = " ".join(done.output.replace("│", " ").split())
    assert "'count' (did you mean 'counter'?)" in words


def test_parts_are_of_one_scheme() -> None:
    with pytest.raises(ValueError, match=f"expected parts of one noise scheme, got .*{NAME}"):
        CascadeClassifier([classifier(), classifier(noise_scheme="counter")])


def test_a_log_names_its_scheme_and_comes_out_again(log: Path) -> None:
    assert json.loads(protocol_path(log).read_text())["noise"] == NAME
    agrees, _, replay = verified(log)
    assert (agrees, replay["rows"], replay["flips"]) == (True, 6, 0.0)
    stated(log, noise=OTHER)  # which has drawn other votes
    assert not verified(log)[0]


@pytest.mark.parametrize("device", ["cpu", None])
def test_the_log_of_a_gpu_is_drawn_again_without_one(log: Path, device: str | None) -> None:
    of_gpu = {"device": "cuda", "fused": True, "machine": this_machine() | {"gpu_threads": 270336}}
    stated(log, **of_gpu)
    agrees, text, replay = verified(log, device=device)
    assert (agrees, replay["rows"], replay["flips"]) == (True, 6, repetition.FLIPS_ELSEWHERE)
    assert 'device was "cuda", is "cpu"' in text
    assert "fused was true, is absent" in text
    edited(log, votes(-60))
    agrees, text, _ = verified(log, device=device)
    assert not agrees
    assert "disagrees: votes " in text


def test_the_noise_of_a_gpus_generator_is_still_not_drawn_elsewhere(log: Path) -> None:
    stated(log, device="cuda", noise=OTHER)
    agrees, text, replay = verified(log)
    assert (agrees, replay["rows"]) == (True, 0)
    assert "its noise has device 'cuda', here it is 'cpu'" in text


def test_any_two_gpus_draw_the_same_by_counter() -> None:
    def on(gpu_threads: int, noise: str) -> Protocol:
        machine = {"gpu_threads": gpu_threads}
        return protocol_of({"device": "cuda", "machine": machine, "noise": noise})

    h100, a100 = 132 * 2048, 108 * 2048
    assert repetition._hindrance(on(h100, NAME), on(a100, NAME)) == ""
    assert "threads" in repetition._hindrance(on(h100, OTHER), on(a100, OTHER))


def test_a_log_goes_on_under_its_own_scheme(log: Path) -> None:
    rows = log.read_text().splitlines()
    log.write_text("\n".join(rows[:4]) + "\n")
    where = ("--device", "cpu", "--precision", "float32", "--out", str(log), "--resume")
    draws = ("--n", "400", "--limit", "6", "--seed", "3")
    with pytest.raises(
        RszooError, match="--noise-scheme, --sound: counter in the log, generator now"
    ):
        run("certify", "-m", MODEL, *draws, *where, "--noise-scheme", "generator")
    assert run("certify", "-m", MODEL, *draws, *where).exit_code == 0

    def counted(lines: list[str]) -> list[list[str]]:
        time = rows[0].split("\t").index("time")
        cells = [line.split("\t") for line in lines]
        return [row[:time] + row[time + 1 :] for row in cells]

    assert counted(log.read_text().splitlines()) == counted(rows)
    stated(log, noise="another")
    with pytest.raises(RszooError, match="--sound: another in the log"):
        run("certify", "-m", MODEL, *draws, *where)


def test_a_log_of_attacks_goes_on_under_its_own_scheme(tmp_path: Path) -> None:
    log = tmp_path / "attacks.tsv"
    few = ("--steps", "1", "--draws", "2", "--n", "50", "--eps", "0.1", "--device", "cpu")
    attack = ("attack", MODEL, *few, "--seed", "1", "--batch-size", "1", "--out", str(log))
    assert run(*attack, "--limit", "1").exit_code == 0
    stated(log, noise=NAME)
    assert run(*attack, "--limit", "2", "--resume").exit_code == 0
    assert json.loads(protocol_path(log).read_text())["noise"] == NAME

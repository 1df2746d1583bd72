"""`rszoo attack`: what is found, what it is called, and what nothing takes it for."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from rszoo.errors import DataError, RszooError
from rszoo.evaluation import attack as attacking
from rszoo.evaluation import attacks
from rszoo.evaluation.attack import Attack, Target, attack, distances, within
from rszoo.evaluation.attack_log import AttackLog, AttackRow, read_attack_log
from rszoo.evaluation.inputs import InputSet
from rszoo.evaluation.log import read_log
from rszoo.evaluation.merge import merge_logs
from rszoo.evaluation.soft_answers import soft_answers, without_noise
from rszoo.hub.attacked import target_of
from rszoo.hub.catalog import find
from rszoo.hub.inputs import inputs_for
from rszoo.networks.mixing import MixingNetwork
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.dual import DualClassifier
from rszoo.smoothing.execution import Execution
from rszoo.smoothing.mixed import MixedClassifier
from rszoo.smoothing.mixing_weights import GradientWeight, LearnedWeight
from rszoo_cli import app

SHAPE, CLASSES, COUNT = (1, 6, 6), 5, 10
NORMS = {"linf": 0.1, "l2": 0.3}


class Brightness(nn.Module):
    """The class is the brightness of the image, in fifths; robust up to half of one.

    Args:
        detail: of a broken one, how much it heeds the contrast of a pixel pair; 0 is robust.
    """

    def __init__(self, detail: float = 0.0) -> None:
        super().__init__()
        self.detail = nn.Parameter(torch.tensor(detail))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        seen = x.mean(1) + self.detail * (x[:, ::2] - x[:, 1::2]).mean(1)
        middles = (torch.arange(CLASSES, device=x.device) + 0.5) / CLASSES
        return -200 * (seen[:, None] - middles) ** 2


def even_images(count: int = COUNT) -> InputSet:
    """Images of even brightness, almost in the middle of their classes."""
    labels = [number % CLASSES for number in range(count)]
    named = [
        (f"{number}.png", torch.full(SHAPE, (label + 0.5) / CLASSES + 0.003))
        for number, label in enumerate(labels)
    ]
    return InputSet.of_own(named, labels)


def target(network: nn.Module, answer: Callable[[Tensor], int] | None = None) -> Target:
    soft = without_noise(network)
    return Target(
        soft=lambda: soft,
        answer=answer or (lambda image: int(network(image[None]).argmax())),
        classes=CLASSES,
        device=torch.device("cpu"),
        stated={"model": {"name": "toy"}},
    )


def of(name: str, norm: str = "linf", eps: float | None = None, **more: Any) -> Attack:
    values: dict[str, Any] = {"norm": norm, "eps": NORMS[norm] if eps is None else eps, **more}
    return Attack(name=name, **values)


def right(rows: list[AttackRow]) -> int:
    return sum(row.attacked == row.label for row in rows)


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        ("pgd", "linf"),
        ("pgd", "l2"),
        ("apgd", "linf"),
        ("apgd", "l2"),
        pytest.param("autoattack", "linf", marks=pytest.mark.slow),
    ],
)
def test_a_robust_and_a_broken_model_are_told_apart(name: str, norm: str) -> None:
    # Almost half a fifth of brightness lies between an image and the next class: out of the reach
    # of 0.095 per pixel, and of 0.095 sqrt(36) in L2. The broken one heeds contrasts far more.
    eps = {"linf": 0.095, "l2": 0.095 * 6}[norm]
    images = even_images(CLASSES)
    robust = attack(target(Brightness()), images, of(name, norm, eps))
    broken = attack(target(Brightness(10.0)), images, of(name, norm, eps))
    assert [row.clean for row in robust] == [row.label for row in robust]
    assert right(robust) == CLASSES
    assert [row.clean for row in broken] == [row.label for row in broken]
    assert right(broken) == 0
    assert all(0 < row.distance <= eps for row in broken)
    # The control: a little more reaches the next class of the robust one as well.
    assert right(attack(target(Brightness()), images, of(name, norm, 1.3 * eps))) == 0


@pytest.mark.parametrize("name", attacks.names())
def test_the_global_generators_stay_as_they_were(name: str) -> None:
    torch.manual_seed(7)
    before, of_numpy = torch.get_rng_state(), np.random.get_state(legacy=False)
    first = attack(target(Brightness(1.0)), even_images(), of(name, seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    assert str(np.random.get_state(legacy=False)) == str(of_numpy)
    torch.manual_seed(8)
    again = attack(target(Brightness(1.0)), even_images(), of(name, seed=1))
    assert [row.distance for row in again] == [row.distance for row in first]


def flat() -> Target:
    """A target whose attack stays where it starts, at random."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(36, CLASSES))
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    soft = without_noise(network)
    return replace(target(Brightness()), soft=lambda: soft)


def test_another_seed_is_another_attack() -> None:
    found = [
        [row.distance for row in attack(flat(), even_images(), of("pgd", seed=s))]
        for s in (1, 2, 1)
    ]
    assert max(found[0]) > 0
    assert found[0] == found[2] != found[1]


def test_what_the_package_cannot_do_is_said() -> None:
    small = InputSet.of_own([("a", torch.full((1, 4, 4), 0.503))], [2])
    with pytest.raises(RszooError, match="expected images of at least 5x5 pixels, got 4x4"):
        attack(target(Brightness()), small, of("autoattack", "l2"))
    few = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    two = replace(target(few), classes=2)
    (row,) = attack(two, InputSet.of_own([("a", torch.rand(SHAPE))]), of("autoattack", eps=0.9))
    assert row.attacked == 1 - row.clean


def test_only_what_is_answered_rightly_is_attacked() -> None:
    wrong = target(Brightness(10.0), answer=lambda image: 3)
    rows = attack(wrong, even_images(), of("pgd"))
    assert [row.attacked for row in rows] == [3] * COUNT
    assert all((row.distance > 0) == (row.label == 3) for row in rows)
    abstains = target(Brightness(10.0), answer=lambda image: -1)
    rows = attack(abstains, even_images(), of("pgd"))
    assert {(row.clean, row.attacked, row.distance) for row in rows} == {(-1, -1, 0.0)}
    unlabelled = InputSet.of_own([("a", torch.full(SHAPE, 0.5))])
    (row,) = attack(target(Brightness(10.0)), unlabelled, of("pgd"))
    assert (row.label, row.clean, row.input) == (-1, 2, "a")
    assert row.attacked != 2
    assert row.distance > 0


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.1), ("linf", 8 / 255), ("l2", 0.5)])
def test_points_are_brought_back_into_the_ball_exactly(norm: str, eps: float) -> None:
    torch.manual_seed(0)
    x = torch.rand(200, 3, 8, 8)
    moved = x + torch.randn_like(x)
    back = within(x, moved, norm=norm, eps=eps)
    assert ((back >= 0) & (back <= 1)).all()
    found = distances(x, back, norm=norm)
    assert max(found) <= eps
    assert min(found) > 0.999 * eps
    # The control: in float32 alone some are outside.
    if norm == "linf":
        naive = x + (moved - x).clamp(-eps, eps)
        assert max(distances(x, naive, norm=norm)) > eps
    near = x + 1e-3 * torch.rand_like(x).clamp(max=0.5)
    kept = within(x, near.clamp(0, 1), norm=norm, eps=eps)
    assert torch.allclose(kept, near.clamp(0, 1), atol=1e-6)


def linear(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, CLASSES))


def smoothed(network: nn.Module, sigma: float = 0.25) -> SmoothedClassifier:
    return SmoothedClassifier(
        network, sigma=sigma, num_classes=CLASSES, input_shape=SHAPE, device="cpu"
    )


def test_the_attack_of_a_smoothed_classifier_goes_through_its_noise() -> None:
    network, x = linear(0), torch.rand(3, *SHAPE)
    torch.manual_seed(5)
    got = soft_answers(smoothed(network), 64)(x)
    torch.manual_seed(5)
    noise = 0.25 * torch.randn(64, 1, *SHAPE)
    expected = torch.stack([network(x + e).softmax(1) for e in noise]).mean(0).log()
    assert torch.allclose(got, expected, atol=1e-6)
    assert not torch.allclose(got, network(x).log_softmax(1), atol=1e-3)


@pytest.mark.parametrize("learned", [False, True])
def test_the_attack_of_a_mix_goes_through_all_of_it(learned: bool) -> None:
    standard, robust = linear(1), linear(2)
    weighing = MixingNetwork()
    nn.init.normal_(weighing.out.weight, std=3.0)
    weight = LearnedWeight(weighing) if learned else 0.7
    mix = MixedClassifier(standard, smoothed(robust), weight=weight)
    x = torch.rand(2, *SHAPE)
    torch.manual_seed(6)
    soft = soft_answers(mix, 8)
    torch.manual_seed(6)
    h = soft_answers(mix.robust, 8)(x).exp()
    shares = weighing.weight(weighing(standard(x), robust(x))) if learned else torch.tensor(0.7)
    shares = shares.view(-1, 1)
    expected = ((1 - shares) * standard(x).softmax(1) + shares * h).log()
    assert torch.allclose(soft(x), expected, atol=1e-6)
    # Its gradient is that of the whole, the weight too.
    x.requires_grad_()
    (whole,) = torch.autograd.grad(soft(x)[:, 0].sum(), x)
    step = 1e-3 * whole.sign()
    with torch.no_grad():
        change = (soft(x + step) - soft(x - step))[:, 0].double().sum() / 2
    assert change.item() == pytest.approx((whole * step).sum().item(), rel=2e-2)


def test_a_weight_by_a_gradient_is_refused() -> None:
    mix = MixedClassifier(linear(1), smoothed(linear(2)), weight=GradientWeight(1.0))
    with pytest.raises(RszooError, match="no attack goes through a GradientWeight"):
        soft_answers(mix, 2)(torch.rand(1, *SHAPE))


class Answers(nn.Module):
    """Answers each image with the same logits."""

    def __init__(self, *probabilities: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(probabilities).log())

    def forward(self, x: Tensor) -> Tensor:
        return self.logits + 0.0 * x.flatten(1).sum(1, keepdim=True)


def expert(*probabilities: float, sigma: float = 0.25) -> SmoothedClassifier:
    return SmoothedClassifier(
        Answers(*probabilities),
        sigma=sigma,
        num_classes=len(probabilities),
        input_shape=SHAPE,
        device="cpu",
    )


def test_the_attack_of_a_dual_model_goes_through_its_router() -> None:
    experts = [expert(0.7, 0.2, 0.1), expert(0.1, 0.3, 0.6, sigma=0.5)]
    dual = DualClassifier(experts, expert(0.25, 0.75))
    found = soft_answers(dual, 4)(torch.rand(2, *SHAPE)).exp()
    expected = 0.25 * np.array([0.7, 0.2, 0.1]) + 0.75 * np.array([0.1, 0.3, 0.6])
    assert found.detach().numpy() == pytest.approx(np.stack([expected] * 2), abs=1e-6)


def test_the_attack_of_a_cascade_goes_through_those_that_are_not_sure() -> None:
    experts = [expert(0.9, 0.1), expert(0.55, 0.45, sigma=0.5), expert(0.3, 0.7, sigma=1.0)]
    found = soft_answers(CascadeClassifier(experts), 4)(torch.rand(1, *SHAPE)).exp()[0]
    sure = [1 / (1 + math.exp(-margin / 0.1)) for margin in (0.05, 0.2)]  # of the noisier two
    below = sure[0] * np.array([0.55, 0.45]) + (1 - sure[0]) * np.array([0.9, 0.1])
    expected = sure[1] * np.array([0.3, 0.7]) + (1 - sure[1]) * below
    assert found.detach().numpy() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["digits-cascade-0.50", "digits-dual-0.50"])
def test_experts_that_take_turns_are_attacked(name: str) -> None:
    bundle = find(f"builtin/{name}")
    inputs = inputs_for(bundle, limit=4)
    of_bundle = target_of(bundle, Execution(), draws=8, n=100, alpha=0.01, seed=0)
    near, far = (attack(of_bundle, inputs, of("pgd", "l2", eps)) for eps in (0.01, 2.0))
    assert right(near) == sum(row.clean == row.label for row in near) >= 3
    assert right(far) <= 1


class Killed(Exception):
    pass


@pytest.mark.parametrize("name", ["pgd", "apgd"])
def test_a_run_that_goes_on_is_the_run_that_was_not_interrupted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = of(name, batch_size=4, seed=3)
    whole, cut = tmp_path / "whole.tsv", tmp_path / "cut.tsv"
    expected = attack(target(Brightness(0.3)), even_images(), chosen, log=whole)
    rows_of, calls = attacking._rows, iter(range(10))

    def killed(*arguments: Any) -> list[AttackRow]:
        if next(calls) == 1:
            raise Killed
        return rows_of(*arguments)

    monkeypatch.setattr(attacking, "_rows", killed)
    with pytest.raises(Killed):
        attack(target(Brightness(0.3)), even_images(), chosen, log=cut)
    assert len(read_attack_log(cut)[0]) == 4
    with cut.open("ab") as file:
        file.write(b"4\t4\t4")  # a row that was being written
    with pytest.raises(RszooError, match="exists; continue it with --resume"):
        attack(target(Brightness(0.3)), even_images(), chosen, log=cut)
    again = attack(target(Brightness(0.3)), even_images(), chosen, log=cut, resume=True)

    def essence(rows: list[AttackRow]) -> list[tuple[object, ...]]:
        return [(r.idx, r.label, r.clean, r.attacked, r.distance, r.input) for r in rows]

    assert essence(again) == essence(expected) == essence(read_attack_log(cut)[0])
    assert read_attack_log(cut)[1] == read_attack_log(whole)[1]
    other = of(name, batch_size=4, seed=4)
    with pytest.raises(RszooError, match="another protocol:\n  --seed: 3 in the log, 4 now"):
        attack(target(Brightness(0.3)), even_images(), other, log=cut, resume=True)


def of_a_set(count: int) -> InputSet:
    """The first inputs of a data set of ten, as its protocol states them."""
    source = {"name": "toy", "split": "test", "size": COUNT, "step": 1, "count": count}
    return InputSet(inputs=even_images(count).inputs, source=source)


@pytest.mark.parametrize("first", [2, 4, 6])
def test_a_log_goes_on_to_more_inputs(first: int, tmp_path: Path) -> None:
    path, chosen = tmp_path / "a.tsv", of("pgd", batch_size=4, seed=3)

    def run(count: int, **more: Any) -> list[tuple[object, ...]]:
        rows = attack(flat(), of_a_set(count), chosen, **more)
        return [(r.idx, r.clean, r.attacked, r.distance) for r in rows]

    whole = run(COUNT)
    before = run(first, log=path)
    # The control: an incomplete batch draws otherwise, so that its rows are not kept.
    assert (before == whole[:first]) == (first % 4 == 0)
    assert run(COUNT, log=path, resume=True) == whole
    rows, stated = read_attack_log(path)
    assert [(r.idx, r.clean, r.attacked, r.distance) for r in rows] == whole
    assert stated["inputs"] == of_a_set(COUNT).source
    kept = path.read_bytes()
    with pytest.raises(RszooError, match=f"--limit: {COUNT} in the log, {first} now"):
        run(first, log=path, resume=True)
    assert path.read_bytes() == kept


def test_other_inputs_are_not_more_of_them(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    attack(target(Brightness(0.3)), of_a_set(4), of("pgd"), log=path)
    before = path.read_bytes(), path.with_suffix(".json").read_bytes()
    more = of_a_set(6)
    for key, value, word in (
        ("step", 2, "--skip"),
        ("digest", "another", "images of --dataset"),
        ("name", "other", "--dataset"),
    ):
        wanted = replace(more, source={**more.source, key: value})
        with pytest.raises(RszooError, match=f"another protocol:(.|\n)*  {word}: "):
            attack(target(Brightness(0.3)), wanted, of("pgd"), log=path, resume=True)
    with pytest.raises(RszooError, match="steps: 20 in the log, 5 now"):
        attack(target(Brightness(0.3)), more, of("pgd", steps=5), log=path, resume=True)
    assert (path.read_bytes(), path.with_suffix(".json").read_bytes()) == before


def logged(tmp_path: Path) -> Path:
    attack(target(Brightness(0.3)), even_images(), of("pgd"), log=tmp_path / "a.tsv")
    return tmp_path / "a.tsv"


def test_what_is_another_in_a_log_is_said_value_by_value(tmp_path: Path) -> None:
    path = logged(tmp_path)
    stated = read_attack_log(path)[1]
    nested = next(key for key, value in stated.items() if isinstance(value, dict) and value)
    inner = sorted(stated[nested])[0]
    path.with_suffix(".json").write_text(
        json.dumps({**stated, nested: {**stated[nested], inner: "other"}})
    )
    with pytest.raises(RszooError) as caught:
        attack(target(Brightness(0.3)), even_images(), of("pgd"), log=path, resume=True)
    (line,) = str(caught.value).splitlines()[1:-1]
    assert line.endswith(f": other in the log, {stated[nested][inner]} now")


def test_a_log_says_what_it_is(tmp_path: Path) -> None:
    rows, stated = read_attack_log(logged(tmp_path))
    assert [row.idx for row in rows] == list(range(COUNT))
    assert stated["kind"] == "attack"
    assert stated["attack"] == {"name": "pgd", "norm": "linf", "eps": 0.1, "steps": 20}
    of_package = attacks.load("autoattack").stated(classes=10, steps=1)
    assert of_package == {
        "attacks": ["apgd-ce", "apgd-t", "fab-t", "square"],
        "package": "pyautoattack",
        "version": "0.2.0",
    }


def test_nothing_takes_a_log_of_attacks_for_certificates(tmp_path: Path) -> None:
    path = logged(tmp_path)
    with pytest.raises(DataError, match="expected certificates, got a log of attacks"):
        read_log(path)
    with pytest.raises(DataError, match="expected certificates, got a log of attacks"):
        merge_logs([path, path], tmp_path / "merged.tsv")
    runner = CliRunner()
    for command in (
        ["report", str(path)],
        ["leaderboard", str(path)],
        ["verify", str(path), "--model", "builtin/digits-gaussian-0.25"],
        ["certify", "--model", "builtin/digits-gaussian-0.25", "--out", str(path), "--resume"],
    ):
        text = str(runner.invoke(app, command).exception)
        assert "log of attacks (rszoo attack)" in text.replace("\n", " "), command
    before = path.read_bytes()
    bundle = tmp_path / "bundle"
    shutil.copytree(find("builtin/digits-gaussian-0.25").path, bundle)
    shutil.copy(path, bundle / "certificates.tsv")
    shutil.copy(path.with_suffix(".json"), bundle / "certificates.json")
    assert runner.invoke(app, ["push", str(bundle), "org/name"]).exit_code != 0
    assert path.read_bytes() == before


def test_nor_certificates_for_a_log_of_attacks(tmp_path: Path) -> None:
    evidence = find("builtin/digits-gaussian-0.25").path / "certificates.tsv"
    shutil.copy(evidence, tmp_path / "a.tsv")
    shutil.copy(evidence.with_suffix(".json"), tmp_path / "a.json")
    before = (tmp_path / "a.tsv").read_bytes()
    with pytest.raises(DataError, match="expected a log of attacks, which begins with idx label"):
        attack(target(Brightness()), even_images(), of("pgd"), log=tmp_path / "a.tsv", resume=True)
    assert (tmp_path / "a.tsv").read_bytes() == before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"0\t0\t0\t0\t0.1", "line 2: expected idx label"),
        (b"-1\t0\t0\t0\t0.1\t1.0\ta", "line 2: expected idx label"),
        (b"0\t0\t-2\t0\t0.1\t1.0\ta", "line 2: expected idx label"),
        (b"0\t0\t0\t0\tnan\t1.0\ta", "line 2: expected idx label"),
        (b"0\t0\t0\t0\t0.1\tinf\ta", "line 2: expected idx label"),
        (b"0\t0\t0\t0\t0.1\t1.0\t\xff", "line 2: expected tab-separated text"),
        (b"0\t0\t0\t0\t0.1\t1.0\ta\n0\t0\t0\t0\t0.1\t1.0\ta", "expected each input once"),
    ],
)
def test_broken_logs_are_refused(tmp_path: Path, line: bytes, said: str) -> None:
    path = logged(tmp_path)
    header = path.read_bytes().split(b"\n")[0]
    path.write_bytes(header + b"\n" + line + b"\n")
    with pytest.raises(DataError, match=said):
        read_attack_log(path)
    with pytest.raises(DataError, match=said):
        AttackLog(path, {}, resume=True)


@pytest.mark.parametrize("norm", NORMS)
def test_autoattack(norm: str) -> None:  # where it finds something: a search in vain takes long
    rows = attack(target(Brightness(10.0)), even_images(CLASSES), of("autoattack", norm))
    assert right(rows) == 0
    assert all(0 < row.distance <= NORMS[norm] for row in rows)


def command(*arguments: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, ["attack", *arguments, "--json"])
    assert done.exit_code == 0, done.exception
    found = json.loads(done.stdout)
    return found if isinstance(found, list) else [found]


def test_the_command_on_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (counts,) = command("builtin/digits-standard-0.00", "--eps", "0.2", "--limit", "40")
    assert counts["inputs"] == 40
    assert counts["right"] >= 38
    assert counts["right_under_attack"] <= 10
    low, high = counts["right_under_attack_interval"]
    assert low < counts["right_under_attack"] / 40 < high
    assert counts["upper_bound"] is True
    log = Path("attacks/digits-standard-0.00-pgd-linf-0.2.tsv")
    assert log.exists()
    rows, stated = read_attack_log(log)
    assert len(rows) == 40
    assert stated["inputs"] == json.loads(json.dumps(stated["inputs"])) | {"count": 40}
    shown = CliRunner().invoke(
        app,
        ["attack", "builtin/digits-standard-0.00", "--eps", "0.2", "--limit", "40", "--resume"],
    )
    assert "under pgd, linf 0.2" in shown.stdout
    assert "at most" in shown.stdout
    assert "not a certificate" in shown.stderr


def test_the_command_on_a_smoothed_model_and_on_own_inputs(tmp_path: Path) -> None:
    log = tmp_path / "a.tsv"
    options = ["--norm", "l2", "--eps", "1", "--n", "200", "--draws", "8"]
    (counts,) = command(
        "builtin/digits-gaussian-0.25", *options, "--limit", "20", "--out", str(log)
    )
    assert counts["right"] >= 17
    assert counts["right_under_attack"] <= counts["right"] - 5
    stated = read_attack_log(log)[1]
    assert (stated["draws"], stated["n"], stated["sigma"]) == (8, 200, 0.25)
    np.save(tmp_path / "own.npy", np.full((1, 1, 8, 8), 0.5, dtype=np.float32))
    (row,) = command("builtin/digits-standard-0.00", str(tmp_path / "own.npy"), "--eps", "0.3")
    assert row["class_under_attack"] != row["class"]
    assert 0 < row["distance"] <= 0.3


@pytest.mark.parametrize(
    "options", [["--norm", "l1"], ["--attack", "fgsm"], ["--eps", "0"], ["--eps", "nan"]]
)
def test_what_the_command_refuses(options: list[str]) -> None:
    done = CliRunner().invoke(app, ["attack", "builtin/digits-standard-0.00", *options])
    assert done.exit_code == 2


def test_without_the_package_it_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyautoattack", None)
    with pytest.raises(RszooError, match=r"pip install 'rszoo\[attack\]'"):
        attack(target(Brightness()), even_images(), of("autoattack"))

"""The training of a mix's weight: its loss by hand, its task, and the way to a certified mix."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_server import RunningHub
from huggingface_hub import hf_hub_download
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from rszoo import data, load, networks
from rszoo.certificates.base import Certificate
from rszoo.certificates.kinds.mixed import mixed_certificate
from rszoo.errors import RecipeError, RszooError
from rszoo.exchange.export import export
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.catalog import find
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.kinds.mixed import learned_weight
from rszoo.hub.origin import Origin
from rszoo.hub.writing import write_bundle
from rszoo.methods import mixing
from rszoo.networks.mixing import Mix, MixingNetwork, log_mix
from rszoo.smoothing.mixed import MixedClassifier
from rszoo.smoothing.mixing_weights import LearnedWeight
from rszoo.training.recipes import prerequisites
from rszoo.training.recipes.files import load_recipe
from rszoo.training.recipes.prerequisites import model_ids
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.run import train
from rszoo_cli import app

ROBUST = "builtin/digits-cat_rs-0.25"
FEW = ("train.epochs=2", "train.lr=0.03", "weights.attack_steps=3", "weights.m=1")


class Linear(nn.Linear):
    """Two logits of an image of four pixels."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(4, 2)
        with torch.no_grad():
            self.weight.mul_(scale)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flatten(1))


def mix(*, alpha_min: float = 0.6, alpha_max: float = 0.9) -> Mix:
    network = MixingNetwork(alpha_min=alpha_min, alpha_max=alpha_max)
    nn.init.normal_(network.out.weight)
    nn.init.normal_(network.out.bias)
    return Mix(nn.Sequential(nn.Identity(), network), Linear(2.0), Linear(5.0))


# --- the loss


def test_without_an_attack_the_loss_is_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    model, noise = mix(), 0.3 * torch.randn(3, 5, 1, 2, 2)
    monkeypatch.setattr(mixing, "gaussian_copies", lambda x, m, sigma: noise)
    x, y = torch.rand(5, 1, 2, 2), torch.tensor([0, 1, 1, 0, 1])
    loss = mixing.loss(model, x, y, sigma=0.3, progress=1.0, attack_steps=0, bce=1.5, bce_ce=0.3)
    expected = 0.0
    for i in range(5):
        one = x[i : i + 1]
        g = model.standard(one).softmax(-1)[0].tolist()
        votes = [model.robust(one + noise[k, i]).softmax(-1)[0] for k in range(3)]
        h = (sum(votes) / 3).tolist()  # type: ignore[union-attr]
        share = model.weighing(model.standard(one), model.robust(one)).item()
        weight = 0.6 + 0.3 * share
        label = int(y[i])
        mistake = -math.log((1 - weight) * g[label] + weight * h[label])
        for choice in (-math.log(1 - share), -math.log(share)):  # clean, then attacked by nothing
            expected += 1.5 * choice + 0.3 * choice * mistake
    assert loss.item() == pytest.approx(expected / 10, rel=1e-4)


def test_the_attack_is_on_the_mix_and_within_its_radius(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = mix(), []
    ascend = mixing.ascend_images

    def recording(objective: Callable[[Tensor], Tensor], x: Tensor, **options: Any) -> Tensor:
        moved = ascend(objective, x, **options)
        seen.append((options["radius"], (moved - x).flatten(1).norm(dim=1).max().item()))
        assert objective(moved) > objective(x)
        return moved

    monkeypatch.setattr(mixing, "ascend_images", recording)
    x, y = torch.rand(6, 1, 2, 2), torch.arange(6) % 2
    for _ in range(30):
        mixing.loss(model, x, y, sigma=0.1, progress=1.0, epsilon=0.2)
    radii = [radius for radius, _ in seen]
    assert all(reached <= radius + 1e-6 for radius, reached in seen)
    assert 0.08 <= min(radii) < 0.11
    assert 0.19 < max(radii) <= 0.22


def test_a_mix_shows_the_mixing_network_alone() -> None:
    model = mix()
    before = [p.clone() for part in (model.standard, model.robust) for p in part.parameters()]
    assert model.state_dict().keys() == {
        f"1.{layer}.{kind}" for layer in ("hidden", "out") for kind in ("weight", "bias")
    }
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    x, y = torch.rand(8, 1, 2, 2), torch.arange(8) % 2
    mixing.loss(model.train(), x, y, sigma=0.1, progress=1.0).backward()
    optimizer.step()
    after = [p for part in (model.standard, model.robust) for p in part.parameters()]
    assert all(torch.equal(a, b) and a.grad is None for a, b in zip(after, before, strict=True))
    assert not model.standard.training
    assert not model.robust.training


def test_the_log_of_a_mix_is_finite_where_probabilities_vanish() -> None:
    log_g = torch.tensor([[-300.0, 0.0]], requires_grad=True)
    weight = torch.tensor([1.0], requires_grad=True)
    value = log_mix(log_g, torch.tensor([[0.0, -300.0]]), weight)
    assert value[0, 0].item() == pytest.approx(0.0, abs=1e-6)
    value.sum().backward()
    assert weight.grad is not None
    assert torch.isfinite(weight.grad).all()


# --- the task


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, quick_stores: None) -> Path:
    """A folder with a standard bundle and a weight trained for it. Not to be changed."""
    folder = tmp_path_factory.mktemp("mixing") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        few = ["train.epochs=8"]
        train([load_recipe("standard").resolve(sigma=0.0, overrides=few)], out=folder)
        parts = (f"parts.standard={folder}/digits-standard-0.00", f"parts.robust={ROBUST}")
        result = invoke("train", "mixing", "--sigma", "0.25", *FEW, *parts, "--out", str(folder))
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-1] == (
        f"compose with: rszoo compose mixed --standard {folder}/digits-standard-0.00 "
        f"--robust {ROBUST} --weight {folder}/digits-mixing-0.25 --out DIR"
    )
    return folder


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


def run(*arguments: str) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def failure(*arguments: str) -> str:
    result = invoke(*arguments)
    assert isinstance(result.exception, RszooError), result.output
    return str(result.exception)


def compose(runs: Path, out: Path) -> str:
    return run(
        *("compose", "mixed", "--standard", f"{runs}/digits-standard-0.00", "--robust", ROBUST),
        *("--weight", f"{runs}/digits-mixing-0.25", "--out", str(out)),
    )


def test_the_bundle_of_a_weight(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.parent)
    bundle = open_bundle(runs / "digits-mixing-0.25")
    config = bundle.of_network
    assert (config.kind, config.sigma, config.method) == ("weight", 0.25, "mixing")
    assert config.architecture == {
        "name": "mixing",
        "hidden": 16,
        "alpha_min": 0.76,
        "alpha_max": 0.99,
    }
    parts = [open_bundle(runs / "digits-standard-0.00"), find(ROBUST)]
    assert [parent.weights_sha256 for parent in bundle.manifest.origin.parents] == [
        part.weights_digest for part in parts
    ]
    with pytest.raises(RszooError, match="got the weight of a mix; rszoo compose mixed --weight"):
        classifier_of(bundle)
    with pytest.raises(RszooError, match="a bundle whose network takes images, got the weight"):
        export(bundle, runs / "out", formats=["state_dict"])
    (row,) = (
        row for row in json.loads(run("ls", "--json")) if row["id"] == "runs/digits-mixing-0.25"
    )
    assert row["method"] == "mixing"
    assert "mixing" in run("show", str(bundle.path))


def test_it_learns_to_hand_attacked_images_to_the_robust_part(runs: Path) -> None:
    weight = learned_weight(
        open_bundle(runs / "digits-mixing-0.25"),
        standard=open_bundle(runs / "digits-standard-0.00"),
        robust=find(ROBUST),
    )
    standard = open_bundle(runs / "digits-standard-0.00").network()
    robust = find(ROBUST).network()
    model = Mix(nn.Sequential(nn.Identity(), weight.network), standard, robust)
    images = data.load("digits", "test")
    x, y = images.images(torch.arange(200)), images.labels[:200]

    def shares(points: Tensor) -> Tensor:
        return weight.network(standard(points), robust(points))

    attacked = mixing.ascend_images(
        lambda points: nn.functional.nll_loss(model(points), y, reduction="sum"),
        x,
        steps=8,
        step_size=0.1,
        radius=0.5,
    )
    with torch.no_grad():
        assert shares(attacked).mean() > shares(x).mean() + 0.08
        assert not torch.allclose(shares(x), torch.full((200,), 0.5), atol=0.05)


def test_from_a_trained_weight_to_a_verified_mix(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert compose(runs, tmp_path / "mix") == f"{tmp_path}/mix\n"
    made = load(str(tmp_path / "mix"))
    assert isinstance(made, MixedClassifier)
    assert isinstance(made.weight, LearnedWeight)
    assert (made.weight.alpha_min, made.weight.network.alpha_max) == (0.76, 0.99)
    trained = open_bundle(runs / "digits-mixing-0.25").network().state_dict()
    kept = made.weight.network.state_dict()
    assert {f"1.{key}" for key in kept} == trained.keys()
    assert all(torch.equal(value, trained[f"1.{key}"]) for key, value in kept.items())
    image = data.load("digits", "test").images(torch.tensor([3]))[0]
    alone, given = load(ROBUST).certify(image, n=500), made.certify(image, n=500)
    assert isinstance(alone, Certificate)
    assert given == mixed_certificate(alone, alpha_mix=0.76)
    run("certify", "-m", "mix", "--n", "200", "--limit", "4", "--attach")
    assert "4 rows, every radius follows" in run("verify", "mix", "--n", "200")


def test_a_mix_with_a_trained_weight_travels(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: RunningHub
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.chdir(tmp_path)
    run("push", f"{runs}/digits-standard-0.00", "me/standard", "--uncertified")
    run("push", f"{runs}/digits-mixing-0.25", "me/weight", "--uncertified")
    card = hub_text(hub, "me/weight")
    assert "The weight of a mix for digits" in card
    assert "rszoo compose mixed --standard ID --robust ID --weight me/weight" in card
    parts = ("--standard", "me/standard", "--robust", ROBUST, "--weight", "me/weight")
    run("compose", "mixed", *parts, "--out", "mix")
    run("push", "mix", "me/mix", "--uncertified")
    made = load("me/mix")
    assert isinstance(made, MixedClassifier)
    image = data.load("digits", "test").images(torch.tensor([0]))[0]
    compose(runs, tmp_path / "local")
    assert made.predict(image, n=100) == load("local").predict(image, n=100)


def hub_text(hub: RunningHub, repo: str) -> str:
    return Path(hf_hub_download(repo, "README.md", endpoint=hub.url)).read_text()


def test_parts_that_are_methods_are_trained_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe("mixing").resolve(
        sigma=0.25, overrides=["train.epochs=1", "weights.m=1", "parts.robust=gaussian"]
    )
    names = ("digits-standard-0.00", "digits-gaussian-0.25")
    assert model_ids(recipe, tmp_path) == {"parts": [str(tmp_path / name) for name in names]}

    def short(wanted: Recipe, *, method: str, sigma: float) -> Recipe:
        few = ["train.epochs=1"]
        return load_recipe(method).resolve(sigma=sigma, overrides=few, seed=wanted.seed)

    monkeypatch.setattr(prerequisites, "prerequisite_recipe", short)
    (bundle,) = train([recipe], out=tmp_path)
    assert [parent.name for parent in bundle.manifest.origin.parents] == list(names)
    parts = [open_bundle(tmp_path / name).manifest for name in names]
    (again,) = train([recipe], out=tmp_path, overwrite=True)
    assert again.weights_digest == bundle.weights_digest
    assert [open_bundle(tmp_path / name).manifest for name in names] == parts


def constant(folder: Path, *, sigma: float, kind: str = "smoothed", classes: int = 10) -> Bundle:
    config = NetworkConfig(
        name=folder.name,
        method="gaussian",
        dataset="digits",
        input_shape=(1, 8, 8),
        class_names=tuple(map(str, range(classes))),
        architecture={"name": "small_cnn"},
        normalization=None,
        sigma=sigma,
        kind=kind,  # type: ignore[arg-type]
        trained_precision="float32",
    )
    network = networks.build("small_cnn", input_shape=(1, 8, 8), num_classes=classes)
    return write_bundle(folder, config=config, network=network, recipe="", origin=Origin())


def test_parts_that_do_not_fit_are_named(runs: Path, tmp_path: Path) -> None:
    constant(tmp_path / "other", sigma=0.25, classes=3)

    def refused(standard: object, robust: object) -> str:
        given = [f"parts.standard={standard}", f"parts.robust={robust}"]
        recipe = load_recipe("mixing").resolve(sigma=0.25, overrides=given)
        with pytest.raises(RszooError) as caught:
            train([recipe], out=tmp_path / "runs")
        return str(caught.value)

    standard = runs / "digits-standard-0.00"
    assert refused(ROBUST, ROBUST) == (
        f"{ROBUST}: expected a standard bundle of sigma 0, got a smoothed one of sigma 0.25; "
        "--sigma is that of the smoothed part"
    )
    assert "expected a smoothed bundle of sigma 0.25, got a smoothed one of sigma 0.5" in refused(
        standard, "builtin/digits-cat_rs-0.50"
    )
    assert "expected a model for the inputs and classes of 'digits'" in refused(
        standard, tmp_path / "other"
    )
    assert not (tmp_path / "runs" / "digits-mixing-0.25").exists()


def test_a_weight_for_other_parts_is_refused(runs: Path, tmp_path: Path) -> None:
    weight = f"{runs}/digits-mixing-0.25"
    standard = ("--standard", f"{runs}/digits-standard-0.00", "--out", str(tmp_path / "mix"))
    other = ("--robust", "builtin/digits-gaussian-0.25")
    assert f"{weight}: expected the parts that it was trained for" in failure(
        "compose", "mixed", *standard, *other, "--weight", weight
    )
    assert "expected the weight of a mix, got a smoothed bundle" in failure(
        "compose", "mixed", *standard, *other, "--weight", ROBUST
    )
    result = invoke(
        "compose", "mixed", *standard, *other, "--weight", weight, "--alpha-mix", "0.8"
    )
    assert result.exit_code == 2
    assert not (tmp_path / "mix").exists()


# --- the recipe


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("parts.robust=dual_rs", "parts.robust: expected a bundle or a method for one, got"),
        ("parts.robust=standard", "parts.robust: expected a bundle or a method for one, got"),
        ("parts.standard=cat_rs", "parts.standard: expected a bundle or a method for one, got"),
        ("parts.standard=mixing", "parts.standard: expected a bundle or a method for one, got"),
        ("parts=null", "parts: missing; method 'mixing' needs them"),
        ("parts.other=x", "parts.other: unknown key"),
        ("network.alpha_min=0.5", "network.alpha_min: expected 0.5 < alpha_min <= 1, got 0.5"),
        ("network.name=small_cnn", "network.name: method 'mixing' trains 'mixing', got"),
    ],
)
def test_wrong_recipes_are_named(override: str, problem: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("mixing").resolve(sigma=0.25, overrides=[override])
    assert any(found.startswith(problem) or problem in found for found in caught.value.problems)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("network.name=mixing", "network.name: method 'gaussian' trains a network for images"),
        ("parts={standard: a, robust: b}", "parts: method 'gaussian' takes no parts; remove them"),
    ],
)
def test_other_methods_take_no_part_in_it(override: str, problem: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("gaussian").resolve(sigma=0.25, overrides=[override])
    assert any(problem in found for found in caught.value.problems)


def test_a_range_the_wrong_way_round_is_named() -> None:
    with pytest.raises(RszooError, match="expected 1/2 < alpha_min <= alpha_max <= 1"):
        networks.build("mixing", input_shape=(1, 8, 8), num_classes=10, alpha_min=0.995)

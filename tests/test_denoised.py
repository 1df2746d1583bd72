"""A denoiser in front of a classifier: trained, composed, certified, published, as experts."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from denoisers import denoiser
from hub_server import RunningHub
from torch import Tensor, nn
from typer.testing import CliRunner

import rszoo
from rszoo import data, networks
from rszoo.errors import IntegrityError, RecipeError, RszooError
from rszoo.exchange.export import export
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.card import card_files
from rszoo.hub.catalog import find
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.kinds.cascade import compose_cascade
from rszoo.hub.kinds.denoised import compose_denoised
from rszoo.hub.kinds.dual import compose_dual
from rszoo.hub.origin import Origin
from rszoo.hub.writing import write_bundle
from rszoo.methods import denoising
from rszoo.networks.denoised import Denoised, Denoising
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.training.recipes.files import load_recipe
from rszoo_cli import app

STANDARD = "builtin/digits-standard-0.00"
SHAPE = (1, 8, 8)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


# --- networks and the loss


class Half(nn.Module):
    """A denoiser with one parameter, 1/2."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def linear() -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]]))
    return network


@pytest.mark.parametrize(("progress", "by_pixels"), [(0.1, True), (0.4, True), (0.41, False)])
def test_the_loss_by_hand(
    progress: float, by_pixels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = 0.3 * torch.randn(1, 5, 1, 2, 2)
    monkeypatch.setattr(denoising, "gaussian_copies", lambda x, m, sigma: noise)
    model, x = Denoising(nn.Sequential(nn.Identity(), Half()), linear()), torch.rand(5, 1, 2, 2)
    wrong = 1 - model.classifier(x).argmax(-1)  # labels say nothing
    found = denoising.loss(model, x, wrong, sigma=0.3, progress=progress, mse_share=0.4)
    seen = (x + noise[0]) / 2
    if by_pixels:
        expected = ((seen - x) ** 2).mean()
    else:
        logs = model.classifier(seen).log_softmax(-1)
        expected = -sum(logs[i, model.classifier(x)[i].argmax()] for i in range(5)) / 5
    assert found.item() == pytest.approx(float(expected), rel=1e-5)
    found.backward()
    (parameter,) = model.parameters()
    assert parameter.grad is not None
    assert parameter.grad.abs() > 0


def test_only_the_denoiser_learns_and_is_stored() -> None:
    classifier = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 2)).train()
    before = {key: value.clone() for key, value in classifier.state_dict().items()}
    model = Denoising(nn.Sequential(nn.Identity(), Half()), classifier).train()
    assert list(model.state_dict()) == ["1.scale"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    for progress in (0.1, 0.9):
        x = torch.rand(8, 1, 2, 2)
        denoising.loss(model, x, torch.zeros(8), sigma=0.1, progress=progress).backward()
        optimizer.step()
    assert not classifier.training
    for key, value in classifier.state_dict().items():
        assert torch.equal(value, before[key])


def test_the_composite_by_hand() -> None:
    network = Denoised(Half(), linear())
    assert network(torch.tensor([[[[2.0, 4.0], [6.0, 8.0]]]])).allclose(
        torch.tensor([[3.0, 7.0]]) + network.classifier[1].bias  # type: ignore[index]
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dncnn", {}),
        ("dncnn", {"depth": 2, "width": 1}),
        ("dncnn", {"batch_norm": True}),
        ("drunet", {"width": 4, "blocks": 1, "scales": 1}),
        ("drunet", {"width": 4, "blocks": 1, "scales": 3}),
    ],
)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 10)])
def test_denoisers_give_images(
    name: str, options: dict[str, Any], shape: tuple[int, int, int]
) -> None:
    network = networks.build(name, input_shape=shape, num_classes=2, **options).eval()
    assert networks.gives(name) == "images"
    x = torch.rand(2, *shape)
    with torch.inference_mode():
        assert network(x).shape == x.shape
        torch.testing.assert_close(network(x)[1:], network(x[1:]))


def test_dncnn_is_what_the_paper_says() -> None:
    network = networks.build(
        "dncnn", input_shape=(1, 40, 40), num_classes=2, depth=17, width=64, batch_norm=True
    )
    # 1 -> 64 and 64 -> 1 with biases, 15 of 64 -> 64 with two numbers a channel instead
    expected = 64 * 9 + 64 + 15 * (64 * 64 * 9 + 2 * 64) + 64 * 9 + 1
    assert sum(one.numel() for one in network.parameters()) == expected


# --- from a recipe to a certificate


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, quick_stores: None) -> Path:
    """A folder with a denoiser that was trained a little. Not to be changed."""
    folder = tmp_path_factory.mktemp("denoising") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        few = ("train.epochs=12", "network.width=16", f"denoised.classifier={STANDARD}")
        done = run("train", "denoising", "--sigma", "0.5", *few, "--out", str(folder))
    assert done.exit_code == 0, done.output
    made = folder / "digits-denoising-0.50"
    assert done.stderr.splitlines()[-1] == (
        f"compose with: rszoo compose denoised --denoiser {made} --classifier {STANDARD} --out DIR"
    )
    return folder


def test_the_bundle_of_a_denoiser(runs: Path, tmp_path: Path) -> None:
    bundle = open_bundle(runs / "digits-denoising-0.50")
    config = bundle.of_network
    assert (config.kind, config.noise, config.normalization) == ("denoiser", 0.5, None)
    (parent,) = bundle.manifest.origin.parents
    assert parent.weights_sha256 == find(STANDARD).weights_digest
    with pytest.raises(RszooError, match="got a denoiser; rszoo compose denoised puts it in fr"):
        classifier_of(bundle)
    with pytest.raises(RszooError, match="expected a bundle whose network classifies, got a den"):
        export(bundle, tmp_path / "out", formats=["state_dict"])
    card = card_files(bundle, repo="org/it")["README.md"].decode()
    assert "A denoiser for digits" in card
    assert "rszoo compose denoised --denoiser org/it --classifier ID" in card


def test_what_it_learned(runs: Path) -> None:
    images = data.load("digits", "test")
    x = images.images(torch.arange(len(images)))
    noisy = x + 0.5 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    standard = find(STANDARD).network()
    learned = open_bundle(runs / "digits-denoising-0.50").network()
    with torch.inference_mode():
        alone = (standard(noisy).argmax(-1) == images.labels).float().mean()
        behind = (standard(learned(noisy)).argmax(-1) == images.labels).float().mean()
    assert behind > alone


def test_from_the_command_line_to_a_verified_log(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = str(runs / "digits-denoising-0.50")
    parts = ("--denoiser", made, "--classifier", STANDARD)
    assert run("compose", "denoised", *parts, "--out", "it").stdout == "it\n"
    classifier = classifier_of(open_bundle("it"))
    assert isinstance(classifier, SmoothedClassifier)
    x = torch.rand(3, *SHAPE)
    with torch.inference_mode():
        expected = find(STANDARD).network()(open_bundle(made).network()(x))
        torch.testing.assert_close(classifier.network.cpu()(x), expected)
    draws = ["--model", "it", "--n", "500", "--limit", "3", "--device", "cpu"]
    assert run("certify", *draws, "--attach").exit_code == 0
    verified = run("verify", "it", "--sample", "3", "--n", "500", "--seed", "1")
    assert "3 inputs certified again, with seed 1: all agree" in verified.stdout
    assert "3 of 3 rows drawn again under the log's seed" in verified.stdout
    shown = json.loads(run("show", "it", "--json").stdout)
    assert shown["parts"][1] == STANDARD
    protocol = json.loads(Path("it/certificates.json").read_text())
    assert protocol["model"]["weights_sha256"] == open_bundle("it").weights_digest
    config = json.loads(Path("it/config.json").read_text())
    assert config["denoiser"]["digest"] == open_bundle(made).weights_digest
    assert config["classifier"]["digest"] == find(STANDARD).weights_digest
    text = card_files(open_bundle("it"), repo="org/it")["README.md"].decode()
    assert "A denoiser is in front of its classifier" in text


def test_published_and_pulled_with_its_parts(
    hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    denoiser(tmp_path / "one")
    run("push", "one", "org/one", "--uncertified")
    parts = ("--denoiser", "org/one", "--classifier", STANDARD)
    assert run("compose", "denoised", *parts, "--out", "it").exit_code == 0
    assert run("push", "it", "org/it", "--uncertified").exit_code == 0
    x = torch.rand(SHAPE)
    here = rszoo.load("it", device="cpu").certify(x, n0=10, n=200, seed=1)
    assert rszoo.load("org/it", device="cpu").certify(x, n0=10, n=200, seed=1) == here


# --- as experts over one classifier


def composed(tmp_path: Path, sigmas: tuple[float, ...] = (0.25, 0.5)) -> list[Bundle]:
    return [
        compose_denoised(
            tmp_path / f"it-{sigma}",
            denoiser=denoiser(tmp_path / f"denoiser-{sigma}", sigma),
            classifier=find(STANDARD),
        )
        for sigma in sigmas
    ]


def test_experts_share_their_classifier(tmp_path: Path) -> None:
    experts = composed(tmp_path)
    bundle = compose_cascade(tmp_path / "cascade", experts=experts)
    classifier = classifier_of(bundle)
    assert isinstance(classifier, CascadeClassifier)
    behind = [one.network.classifier for one in classifier.experts]  # type: ignore[attr-defined]
    assert behind[0] is behind[1]
    assert [one.sigma for one in classifier.experts] == [0.25, 0.5]
    alone = [rszoo.load(str(one.path)) for one in experts]
    assert alone[0].network.classifier is not alone[1].network.classifier  # type: ignore[union-attr]
    x, given = torch.rand(SHAPE), {"n": 300, "seed": 3}
    parts = CascadeClassifier(alone, class_names=bundle.config.class_names)  # type: ignore[arg-type]
    assert classifier.certify(x, **given) == parts.certify(x, **given)  # type: ignore[arg-type]


def test_experts_of_several_kinds_go_together(tmp_path: Path) -> None:
    (denoised,) = composed(tmp_path, (0.5,))
    experts = [find("builtin/digits-gaussian-0.25"), denoised]
    cascade = classifier_of(compose_cascade(tmp_path / "cascade", experts=experts))
    assert isinstance(cascade, CascadeClassifier)
    router = denoiser(
        tmp_path / "router",
        1.0,
        kind="router",
        class_names=("a", "b"),
        architecture={"name": "small_cnn"},
    )
    assert compose_dual(tmp_path / "dual", experts=experts, router=router).config.noise is None


def test_no_expert_is_a_part_of_others_alone(tmp_path: Path) -> None:
    (denoised,) = composed(tmp_path, (0.5,))
    for other in (denoiser(tmp_path / "other", 0.25), find(STANDARD)):
        kind = other.config.kind
        with pytest.raises(RszooError, match=f"as an expert, got one of kind '{kind}'"):
            compose_cascade(tmp_path / "cascade", experts=[other, denoised])
    with pytest.raises(RszooError, match="as an expert, got one of kind 'cascade'"):
        compose_cascade(
            tmp_path / "cascade", experts=[find("builtin/digits-cascade-0.50"), denoised]
        )


# --- imported


def test_a_denoiser_is_imported(tmp_path: Path) -> None:
    trained = denoiser(tmp_path / "trained")
    torch.save(trained.network().state_dict(), tmp_path / "net.pth")
    out = tmp_path / "it"
    said = (
        *("--name", "it", "--dataset", "digits", "--out", str(out), "--architecture", "dncnn"),
        *("--option", "depth=2", "--option", "width=4"),
    )
    done = run(
        "import", str(tmp_path / "net.pth"), *said, "--sigma", "0.5", "--normalization", "none"
    )
    assert "the accuracy was not checked: a denoiser has none; rszoo compose" in done.stderr
    config = open_bundle(out).of_network
    assert (config.kind, config.noise, config.normalization) == ("denoiser", 0.5, None)
    compose_denoised(tmp_path / "both", denoiser=open_bundle(out), classifier=find(STANDARD))
    for more, problem in (
        (("--sigma", "0", "--normalization", "none"), "removes, sigma > 0, got 0"),
        (("--sigma", "0.5", "--normalization", "full"), "takes images in .0, 1. as they are"),
    ):
        with pytest.raises(RszooError, match=problem):
            run("import", str(tmp_path / "net.pth"), *said, *more, "--overwrite")


def test_the_weight_of_a_mix_is_not_imported(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "net.pth")
    said = ("--name", "it", "--dataset", "digits", "--sigma", "0.5", "--normalization", "none")
    with pytest.raises(
        RszooError, match="expected a network that classifies or denoises, got 'mi"
    ):
        run("import", str(tmp_path / "net.pth"), *said, "--architecture", "mixing")


# --- what does not fit


def test_parts_that_do_not_fit(tmp_path: Path) -> None:
    good = denoiser(tmp_path / "good")
    large = denoiser(tmp_path / "large", input_shape=(1, 16, 16))
    dual = find("builtin/digits-dual-0.50")
    forged = denoiser(tmp_path / "forged", architecture={"name": "small_cnn"})
    for parts, problem in (
        ((forged, find(STANDARD)), "expected a network that gives images, got 'small_cnn'"),
        ((find(STANDARD), find(STANDARD)), "expected a denoiser, got a standard bundle; rszoo tr"),
        ((large, find(STANDARD)), r"for the inputs of .*\(1, 8, 8\), got one for \(1, 16, 16\)"),
        ((good, good), "expected a bundle whose network classifies, got a denoiser"),
        ((good, dual), "got one made of other bundles"),
    ):
        with pytest.raises(RszooError, match=problem):
            compose_denoised(tmp_path / "it", denoiser=parts[0], classifier=parts[1])
    assert not (tmp_path / "it").exists()


@pytest.mark.parametrize("changed", [{"sigma": 0.25}, {"class_names": tuple("abcdefghij")}])
def test_a_config_that_says_otherwise_than_its_parts(
    changed: dict[str, Any], tmp_path: Path
) -> None:
    (bundle,) = composed(tmp_path, (0.5,))
    config = bundle.config.model_copy(update=changed)
    forged = write_bundle(tmp_path / "forged", config=config, origin=Origin())
    with pytest.raises(RszooError, match="noise level, inputs and classes of its parts, got oth"):
        classifier_of(forged)


def test_a_denoiser_that_was_trained_again(tmp_path: Path) -> None:
    (bundle,) = composed(tmp_path, (0.5,))
    other = denoiser(tmp_path / "other")
    write_bundle(
        tmp_path / "denoiser-0.5",
        config=other.config,
        network=other.network(),
        recipe="",
        origin=Origin(),
        replace=True,
    )
    with pytest.raises(IntegrityError, match="it was trained again since; compose anew"):
        classifier_of(bundle)


@pytest.mark.parametrize(
    ("method", "override", "problem"),
    [
        ("denoising", "network.name=small_cnn", "trains 'dncnn' or 'drunet', got"),
        ("denoising", "denoised=null", "denoised: missing; method 'denoising' needs them"),
        ("denoising", "denoised.classifier=gaussian", "expected a bundle or a method without no"),
        ("gaussian", "network.name=dncnn", "trains a network for images, got 'dncnn'"),
        ("gaussian", "denoised={classifier: x}", "'gaussian' takes no classifier to denoise for"),
    ],
)
def test_wrong_recipes_are_named(method: str, override: str, problem: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(method).resolve(sigma=0.25, overrides=[override])
    assert any(problem in found for found in caught.value.problems)

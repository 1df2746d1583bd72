"""Low-rank changes of a frozen network: learned, stored alone, certified, as experts over it."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from hub_server import RunningHub
from safetensors.torch import load_file
from sealing import seal
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
from rszoo.hub.configs.adapted import AdaptedConfig
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.kinds.cascade import compose_cascade
from rszoo.hub.kinds.dual import compose_dual
from rszoo.hub.origin import Origin
from rszoo.hub.writing import write_bundle
from rszoo.networks.fused.plan import by_torch
from rszoo.networks.fused.tracing import planned
from rszoo.networks.low_rank import Adapted, Adapters
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.training.recipes.files import load_recipe
from rszoo_cli import app

STANDARD = "builtin/digits-standard-0.00"
SHAPE = (1, 8, 8)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def logits(network: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(x)


# --- the network


def backbone() -> nn.Sequential:
    """A network with a convolution in groups, a plain one, statistics and linear layers."""
    torch.manual_seed(0)
    layers = [
        *(nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.Conv2d(4, 6, 3, stride=2), nn.Flatten(), nn.Linear(54, 16), nn.Linear(16, 3)),
    ]
    network = nn.Sequential(nn.Identity(), nn.Sequential(*layers))
    nn.init.uniform_(layers[1].running_var, 0.5, 2.0)  # type: ignore[arg-type]
    return network.eval()


def learned(adapted: Adapted) -> Adapters:
    """Give the changes of a network other values than at first."""
    adapters = Adapters(adapted)
    for one in adapters.parameters():
        nn.init.normal_(one, std=0.3)
    return adapters


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("small_cnn", {}),
        ("cifar_resnet", {"depth": 8}),
        ("timm:test_vit", {}),
    ],
)
def test_fresh_changes_are_none(name: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = networks.build(name, input_shape=(3, 32, 32), num_classes=5, **options).eval()
    _check_fresh(network, torch.rand(4, 3, 32, 32))


def test_layers_that_look_at_the_weights_of_others() -> None:
    """As those of torchvision's transformers, which call no layer in eval mode."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    _check_fresh(nn.Sequential(layer, nn.Flatten(), nn.Linear(24, 3)).eval(), torch.rand(4, 3, 8))


def _check_fresh(network: nn.Module, x: Tensor) -> None:
    expected = logits(network, x)
    adapted = Adapted(network, rank=4, alpha=8.0)
    assert torch.equal(logits(adapted, x), expected)
    learned(adapted)
    assert not torch.allclose(logits(adapted, x), expected)
    assert torch.equal(logits(network, x), expected)


def test_the_change_by_hand() -> None:
    network = nn.Sequential(nn.Identity(), nn.Linear(3, 2, bias=False))
    weight = network[1].weight.detach().clone()
    adapted = Adapted(network, rank=1, alpha=6.0)
    (change,) = Adapters(adapted).children()
    with torch.no_grad():
        change.A.copy_(torch.tensor([[1.0, 2.0, 3.0]]))  # type: ignore[union-attr, operator]
        change.B.copy_(torch.tensor([[0.5], [-1.0]]))  # type: ignore[union-attr, operator]
    expected = weight + 6 * torch.tensor([[0.5, 1.0, 1.5], [-1.0, -2.0, -3.0]])
    torch.testing.assert_close(logits(adapted, torch.eye(3)), expected.T)


def test_the_change_of_a_convolution_is_the_sum_of_two() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, 3, padding=1)
    x = torch.rand(2, 3, 6, 6)
    expected = logits(layer, x)
    adapted = Adapted(nn.Sequential(layer), rank=2, alpha=4.0)
    (change,) = learned(adapted).children()
    down, up = change.A.view(2, 3, 3, 3), change.B.view(5, 2, 1, 1)  # type: ignore[operator]
    with torch.no_grad():
        middle = nn.functional.conv2d(x, down, padding=1)
        expected = expected + 2 * nn.functional.conv2d(middle, up)
    torch.testing.assert_close(logits(adapted, x), expected, rtol=1e-4, atol=1e-5)


def test_only_the_changes_learn_and_are_stored() -> None:
    network = backbone()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    adapters = Adapters(Adapted(network, rank=2, alpha=4.0)).train()
    layers = ("1.0", "1.3", "1.5", "1.6")
    assert set(adapters.state_dict()) == {f"{name}.{one}" for name in layers for one in "AB"}
    assert adapters.state_dict()["1.0.A"].shape == (2, 9)
    assert adapters.state_dict()["1.6.B"].shape == (3, 2)
    optimizer = torch.optim.AdamW(adapters.parameters(), lr=0.1, weight_decay=0.1)
    first = None
    for _ in range(20):
        x = torch.rand(16, 2, 8, 8)
        loss = nn.functional.cross_entropy(adapters(x), (x.mean((1, 2, 3)) > 0.5).long())
        first = loss.item() if first is None else first
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < first
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_several_share_the_weights_of_their_backbone() -> None:
    network = backbone()
    one, other = (Adapted(network, rank=2, alpha=4.0) for _ in range(2))
    learned(one), learned(other)
    held = {id(tensor) for tensor in network.parameters()}
    for adapted in (one, other):
        mine = {id(tensor) for tensor in adapted.parameters()}
        changes = {id(tensor) for tensor in Adapters(adapted).parameters()}
        assert mine - changes == held
    x = torch.rand(3, 2, 8, 8)
    assert not torch.allclose(logits(one, x), logits(other, x))


def test_changes_are_made_where_the_weights_are() -> None:
    adapted = Adapted(backbone().to("meta"), rank=2, alpha=4.0)
    assert {one.device.type for one in adapted.parameters()} == {"meta"}


def test_it_travels_to_another_process() -> None:
    adapted = Adapted(backbone(), rank=2, alpha=4.0)
    learned(adapted)
    x = torch.rand(3, 2, 8, 8)
    expected = logits(adapted, x)
    assert torch.equal(logits(pickle.loads(pickle.dumps(adapted)), x), expected)
    assert torch.equal(logits(adapted, x), expected)


def test_a_plan_for_fused_kernels_has_the_changed_weights() -> None:
    torch.manual_seed(0)
    network = networks.build("cifar_resnet", input_shape=(3, 32, 32), num_classes=5, depth=8)
    adapted = Adapted(network.eval(), rank=2, alpha=4.0)
    learned(adapted)
    x = torch.rand(2, 3, 32, 32)
    expected = logits(adapted, x)
    assert not torch.allclose(expected, logits(network, x), rtol=0.1)
    found = by_torch(planned(adapted, (3, 32, 32)), x)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


# --- from a recipe to a certificate


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, quick_stores: None) -> Path:
    """A folder with adapters that were trained a little. Not to be changed."""
    folder = tmp_path_factory.mktemp("adapted") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        given = (f"adapter.backbone={STANDARD}", "adapter.rank=4")
        for epochs, more in ((20, []), (1, ["--half"])):
            out = ("--out", str(folder / "half" if more else folder), f"train.epochs={epochs}")
            done = run("train", "gaussian", "--sigma", "0.5", *given, *out, *more)
            assert done.exit_code == 0, done.output
    return folder


def trained(runs: Path) -> Bundle:
    return open_bundle(runs / "digits-gaussian-0.50")


def test_the_bundle_holds_the_changes_alone(runs: Path, tmp_path: Path) -> None:
    bundle = trained(runs)
    config = bundle.config
    assert isinstance(config, AdaptedConfig)
    assert (config.noise, config.rank, config.alpha, config.method) == (0.5, 4, 16.0, "gaussian")
    standard = find(STANDARD)
    assert config.backbone.digest == standard.weights_digest
    (parent,) = bundle.manifest.origin.parents
    assert parent.weights_sha256 == standard.weights_digest
    size = (bundle.path / "model.safetensors").stat().st_size
    assert size < 0.2 * (standard.path / "model.safetensors").stat().st_size
    assert set(load_file(bundle.path / "model.safetensors")) == {
        f"1.{layer}.{one}" for layer in ("conv", "fc1", "fc2") for one in "AB"
    }
    with pytest.raises(RszooError, match="with a network, got one made of other bundles"):
        export(bundle, tmp_path / "out", formats=["state_dict"])
    shown = json.loads(run("show", str(bundle.path), "--json").stdout)
    assert (shown["network"], shown["rank"]) == ("adapters of rank 4", 4)
    card = card_files(bundle, repo="org/it")["README.md"].decode()
    assert "adapters of rank 4 for the network of another model" in card


def test_halves_are_half_as_large(runs: Path) -> None:
    half = open_bundle(runs / "half/digits-gaussian-0.50")
    files = [one.path / "model.safetensors" for one in (half, trained(runs))]
    assert files[0].stat().st_size < 0.75 * files[1].stat().st_size
    assert isinstance(classifier_of(half), SmoothedClassifier)


def test_what_they_learned(runs: Path) -> None:
    images = data.load("digits", "test")
    x = images.images(torch.arange(len(images)))
    noisy = x + 0.5 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    adapted = classifier_of(trained(runs)).network.cpu()  # type: ignore[attr-defined]
    right = [
        (logits(one, noisy).argmax(-1) == images.labels).float().mean()
        for one in (find(STANDARD).network(), adapted)
    ]
    assert right[1] > right[0] + 0.03


def test_from_the_command_line_to_a_verified_log(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: RunningHub
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    path = copied(trained(runs), tmp_path / "it")
    draws = ["--model", str(path), "--n", "500", "--limit", "3", "--device", "cpu"]
    assert run("certify", *draws, "--attach").exit_code == 0
    verified = run("verify", str(path), "--sample", "3", "--n", "500", "--seed", "1")
    assert "3 inputs certified again, with seed 1: all agree" in verified.stdout
    assert "3 of 3 rows drawn again under the log's seed" in verified.stdout
    assert run("report", "it/certificates.tsv").exit_code == 0
    assert run("push", "it", "org/it", "--uncertified").exit_code == 0
    x = torch.rand(SHAPE)
    here = rszoo.load("it", device="cpu").certify(x, n0=10, n=200, seed=1)
    assert rszoo.load("org/it", device="cpu").certify(x, n0=10, n=200, seed=1) == here


def copied(bundle: Bundle, folder: Path) -> Path:
    folder.mkdir()
    for file in bundle.path.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


# --- as experts over one backbone


def expert(folder: Path, sigma: float, *, over: Bundle) -> Bundle:
    """Write a bundle with changes that were not trained, over another one beside it."""
    from rszoo.hub.parts import part_in
    from rszoo.hub.writing import weights_of

    torch.manual_seed(int(1000 * sigma))
    adapters = learned(Adapted(over.network(), rank=2, alpha=1.0))
    import hashlib

    config = AdaptedConfig(
        name=folder.name,
        method="gaussian",
        dataset="digits",
        input_shape=over.config.input_shape,
        class_names=over.config.class_names,
        backbone=part_in(folder, over),
        rank=2,
        alpha=1.0,
        sigma=sigma,
        weights_sha256=hashlib.sha256(weights_of(adapters)).hexdigest(),
    )
    return write_bundle(folder, config=config, network=adapters, recipe="", origin=Origin())


def test_experts_share_their_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experts = [expert(tmp_path / f"it-{s}", s, over=find(STANDARD)) for s in (0.25, 0.5)]
    bundle = compose_cascade(tmp_path / "cascade", experts=experts)
    opened: list[str] = []
    network = Bundle.network
    monkeypatch.setattr(Bundle, "network", lambda one: (opened.append(one.id), network(one))[1])
    classifier = classifier_of(bundle)
    assert opened == [STANDARD]
    assert isinstance(classifier, CascadeClassifier)
    held = [{id(one) for one in each.network.parameters()} for each in classifier.experts]
    assert len(held[0] & held[1]) == len(list(find(STANDARD).network().parameters()))
    alone = [rszoo.load(str(one.path)) for one in experts]
    x, given = torch.rand(SHAPE), {"n": 300, "seed": 3}
    parts = CascadeClassifier(alone, class_names=bundle.config.class_names)  # type: ignore[arg-type]
    assert classifier.certify(x, **given) == parts.certify(x, **given)  # type: ignore[arg-type]


def test_experts_of_a_dual_model(tmp_path: Path) -> None:
    experts = [expert(tmp_path / f"it-{s}", s, over=find(STANDARD)) for s in (0.25, 0.5)]
    config = NetworkConfig(
        name="router",
        kind="router",
        method="dual_rs",
        dataset="digits",
        input_shape=SHAPE,
        class_names=("a", "b"),
        architecture={"name": "small_cnn"},
        normalization=None,
        sigma=1.0,
        trained_precision="float32",
    )
    network = networks.build("small_cnn", input_shape=SHAPE, num_classes=2)
    said = {"config": config, "network": network, "recipe": "", "origin": Origin()}
    router = write_bundle(tmp_path / "router", **said)
    dual = classifier_of(compose_dual(tmp_path / "dual", experts=experts, router=router))
    assert dual.certify(torch.rand(SHAPE), n0=10, n=100, seed=0) is not None


# --- what does not fit


def standard(folder: Path, *, seed: int = 0, replace: bool = False) -> Bundle:
    torch.manual_seed(seed)
    network = networks.build("small_cnn", input_shape=SHAPE, num_classes=10)
    config = find(STANDARD).config.model_copy(update={"name": folder.name})
    said = {"config": config, "network": network, "recipe": "", "origin": Origin()}
    return write_bundle(folder, **said, replace=replace)


def test_a_backbone_that_changed(tmp_path: Path) -> None:
    bundle = expert(tmp_path / "it", 0.5, over=standard(tmp_path / "base"))
    assert isinstance(classifier_of(bundle), SmoothedClassifier)
    standard(tmp_path / "base", seed=1, replace=True)
    with pytest.raises(IntegrityError, match="it was trained again since"):
        classifier_of(bundle)


def changed(bundle: Bundle, **values: Any) -> Bundle:
    config = json.loads((bundle.path / "config.json").read_text())
    (bundle.path / "config.json").write_text(json.dumps(config | values))
    return open_bundle(seal(bundle.path))


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"rank": 3}, "expected the adapters of rank 3 .* got other names or shapes"),
        ({"class_names": list("abcdefghij")}, "inputs and classes of its backbone, got others"),
        ({"weights_sha256": "0" * 64}, "expected adapters with digest 000"),
    ],
)
def test_a_config_that_says_otherwise(
    values: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    bundle = changed(expert(tmp_path / "it", 0.5, over=find(STANDARD)), **values)
    with pytest.raises(RszooError, match=complaint):
        classifier_of(bundle)


def test_a_backbone_that_is_none(tmp_path: Path) -> None:
    bundle = expert(tmp_path / "it", 0.5, over=find(STANDARD))
    for other, complaint in (
        ("builtin/digits-cascade-0.50", "with a network, got one made of other bundles"),
        (
            "builtin/digits-dual_rs-0.50",
            "network that classifies, to adapt, got one of kind 'router'",
        ),
    ):
        part = {"id": other, "digest": find(other).weights_digest}
        with pytest.raises(RszooError, match=complaint):
            classifier_of(changed(bundle, backbone=part))


@pytest.mark.parametrize(
    ("method", "overrides", "problem"),
    [
        ("denoising", ["adapter.backbone=a"], "'denoising' trains no classifier for noise, to ad"),
        ("standard", ["adapter.backbone=a"], "'standard' trains no classifier for noise, to ad"),
        ("gaussian", ["adapter.backbone=gaussian"], "expected a bundle or a method without noise"),
        ("gaussian", ["adapter.backbone=a", "adapter.rank=0"], "adapter.rank: expected"),
        ("gaussian", ["adapter.backbone=a", "adapter.rank=1025"], "adapter.rank: expected"),
        ("gaussian", ["adapter.rank=8"], "adapter.backbone: missing"),
        (
            "gaussian",
            ["adapter.backbone=a", "fine_tuning.start=a"],
            "adapter: expected one of ['fine_tuning', 'adapter'], each a training of its own",
        ),
    ],
)
def test_wrong_recipes_are_named(method: str, overrides: list[str], problem: str) -> None:
    sigma = 0.0 if method == "standard" else 0.25
    with pytest.raises(RecipeError) as caught:
        load_recipe(method).resolve(sigma=sigma, overrides=overrides)
    assert any(problem in found for found in caught.value.problems), caught.value.problems


def test_another_network_than_the_recipes(tmp_path: Path, quick_stores: None) -> None:
    given = (f"adapter.backbone={STANDARD}", "network.name=lenet", "--out", str(tmp_path / "o"))
    with pytest.raises(RszooError, match=r"expected the recipe's network, .*'lenet'.*; change"):
        run("train", "gaussian", "--sigma", "0.5", *given)

"""Networks of torchvision, timm and transformers: built untrained, imported, certified, published.

What a bundle may say to such a library is a list; nothing is fetched, and no code of others runs.
"""

import importlib.metadata
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forks import Forks
from hub_server import RunningHub
from safetensors.torch import save_file
from sealing import seal
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from rszoo import networks
from rszoo._torchvision import import_torchvision
from rszoo.errors import IntegrityError, RecipeError, RszooError
from rszoo.exchange.published import source_of
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.networks import library
from rszoo.networks.library import Facts
from rszoo.networks.logits import logits_in
from rszoo.training.recipes.files import load_recipe
from rszoo_cli import app

SHAPE, CLASSES = (3, 64, 64), 4
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
TINY_VIT: dict[str, Any] = {"model_type": "vit", "intermediate_size": 16, **TINY}
VIT = "transformers:somebody/vit"

#: A config for each type of model of transformers, as small as can be.
_OF_VIT = {**TINY, "intermediate_size": 16}
_OF_SWIN = {"embed_dim": 4, "depths": [1], "num_heads": [2], "window_size": 4}
_OF_CONVNEXT = {"hidden_sizes": [4] * 4, "depths": [1] * 4}
SMALLEST: dict[str, dict[str, Any]] = {
    "beit": _OF_VIT,
    "convnext": _OF_CONVNEXT,
    "convnextv2": _OF_CONVNEXT,
    "deit": _OF_VIT,
    "dinov2": TINY,
    "dinov2_with_registers": TINY,
    "regnet": {"embedding_size": 4, "hidden_sizes": [8], "depths": [1], "groups_width": 4},
    "resnet": {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1]},
    "swin": _OF_SWIN,
    "swinv2": _OF_SWIN,
    "vit": _OF_VIT,
}


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Every attempt to connect or to look up a name; each fails."""
    tried: list[object] = []

    def refuse(*place: object) -> None:
        tried.append(place[-1])
        raise OSError("no connections in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield tried
    assert tried == []


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def images(path: Path) -> Path:
    """Write photographs of noise, one of them for testing."""
    arrays = {
        f"{split}_{kind}": values[:count]
        for split, count in (("train", 4), ("test", 1))
        for kind, values in (
            ("images", np.random.default_rng(0).random((4, *SHAPE), "float32")),
            ("labels", np.arange(4) % CLASSES),
        )
    }
    np.savez(path, **arrays, class_names=np.array([f"kind {index}" for index in range(CLASSES)]))
    return path


def of_torchvision(folder: Path, name: str = "resnet18") -> Path:
    network = import_torchvision().models.get_model(name, num_classes=CLASSES)
    torch.save({"state_dict": network.state_dict()}, folder / "net.pth")
    return folder / "net.pth"


def of_timm(folder: Path) -> Path:
    import_torchvision()
    import timm

    network = timm.create_model("vit_tiny_patch16_224", num_classes=CLASSES, img_size=64)
    nn.init.normal_(network.head.weight, std=1.0)
    save_file(network.state_dict(), folder / "vit.safetensors")
    return folder / "vit.safetensors"


def of_transformers(folder: Path, kind: str = "vit", *, size: int = 64) -> Path:
    import_torchvision()
    import transformers

    name = {"vit": "ViT", "swin": "Swin"}[kind]
    config = getattr(transformers, f"{name}Config")(
        **SMALLEST[kind],
        image_size=size,
        num_labels=CLASSES,
    )
    network = getattr(transformers, f"{name}ForImageClassification")(config)
    nn.init.normal_(network.classifier.weight, std=1.0)
    network.save_pretrained(folder / kind)
    return folder / kind


LIBRARIES = {
    "torchvision:resnet18": of_torchvision,
    "timm:vit_tiny_patch16_224": of_timm,
    VIT: of_transformers,
}


def imported(path: Path, name: str, *more: object, normalization: str = "none") -> Bundle:
    out, data = path.parent / "it", images(path.parent / "noise.npz")
    run(
        *("import", path, "--name", "it", "--dataset", data, "--sigma", 0.5, "--out", out),
        *("--architecture", name, "--normalization", normalization, *more),
    )
    return open_bundle(out)


@pytest.mark.parametrize("name", LIBRARIES)
def test_from_its_weights_to_another_process(
    name: str,
    tmp_path: Path,
    hub: RunningHub,
    forks: Forks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.chdir(tmp_path)
    bundle = imported(LIBRARIES[name](tmp_path), name)
    package = name.partition(":")[0]
    config = json.loads((bundle.path / "config.json").read_text())
    assert config["library"] == {"name": package, "version": importlib.metadata.version(package)}
    assert f"{package} {importlib.metadata.version(package)}" in run("show", bundle.path).output

    run(
        *("certify", "--model", bundle.path, "--n0", 5, "--n", 20, "--alpha", 0.1, "--attach"),
        *("--skip", 1, "--seed", 1, "--precision", "float32"),
    )
    log = bundle.path / "certificates.tsv"
    assert "it" in run("report", log).output
    run("verify", bundle.path, "--n", 20, "--dataset", tmp_path / "noise.npz")
    pushed = run("push", bundle.path, "org/it").output.split()[0]
    assert run("pull", pushed).output.split()[0] == pushed

    (tmp_path / "again.py").write_text(
        "import numpy, rszoo, torch\n"
        "torch.set_num_threads(1)\n"
        f"model = rszoo.load({pushed!r}, device='cpu', precision='float32')\n"
        f"x = torch.from_numpy(numpy.load({str(tmp_path / 'noise.npz')!r})['test_images'])\n"
        "for one in model.certify_batch(x, n0=5, n=20, alpha=0.1, seed=1):\n"
        "    print(one.label, one.radius)\n"
    )
    with open(tmp_path / "printed", "wb") as out:
        assert forks.start(str(tmp_path / "again.py"), stdout=out).wait() == 0
    rows = [line.split("\t") for line in log.read_text().splitlines()[1:]]
    printed = [line.split() for line in (tmp_path / "printed").read_text().splitlines()]
    assert printed == [[row[2], row[3]] for row in rows]


@pytest.mark.parametrize("name", LIBRARIES)
def test_opening_asks_nobody(name: str, tmp_path: Path, offline: list[object]) -> None:
    bundle = imported(LIBRARIES[name](tmp_path), name)
    again = open_bundle(bundle.path).network()
    with torch.inference_mode():
        assert again(torch.rand(2, *SHAPE)).shape == (2, CLASSES)


# --- the weights that were trained are those that answer


def logits(network: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return network.eval()(x)


@pytest.mark.parametrize("kind", ["vit", "swin"])
def test_a_folder_of_transformers(kind: str, tmp_path: Path) -> None:
    import_torchvision()
    import transformers

    folder = of_transformers(tmp_path, kind)
    bundle = imported(folder, VIT)
    original = transformers.AutoModelForImageClassification.from_pretrained(folder)
    x = torch.rand(3, *SHAPE)
    torch.testing.assert_close(logits(bundle.network(), x), logits_in(logits(original, x)))
    assert bundle.of_network.architecture["config"]["hidden_dropout_prob"] == 0.0


def test_weights_for_another_size_of_images(tmp_path: Path) -> None:
    folder = of_transformers(tmp_path, size=32)
    complaint = "has these weights for images of 3x32x32, the data set's are 3x64x64"
    with pytest.raises(RszooError, match=complaint):
        imported(folder, VIT)


def test_the_standardisation_of_the_library(tmp_path: Path) -> None:
    folder = of_transformers(tmp_path)
    processor = {"do_normalize": True, "image_mean": [0.5, 0.25, 0.5], "image_std": [0.5, 2, 1]}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    bundle = imported(folder, VIT, normalization="library")
    constants = bundle.of_network.normalization
    assert constants is not None
    assert (constants.mean, constants.std) == ((0.5, 0.25, 0.5), (0.5, 2.0, 1.0))


@pytest.mark.parametrize(
    "wrong", [{"image_mean": [0.5]}, {"image_mean": [0.5] * 4}, {"image_std": [0.5, 0, 1]}]
)
def test_a_standardisation_that_is_none(tmp_path: Path, wrong: dict[str, Any]) -> None:
    folder = of_transformers(tmp_path)
    processor = {"image_mean": [0.5, 0.25, 0.5], "image_std": [0.5, 2, 1], **wrong}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    with pytest.raises(RszooError, match="says none for 3 channels"):
        imported(folder, VIT, normalization="library")


def facts_on(name: str) -> Facts:
    found = networks.library_of(name)
    assert found is not None
    return found[0].facts(found[1])


def test_what_the_libraries_say_of_their_weights() -> None:
    facts = facts_on("torchvision:resnet18")
    assert facts.input_shape == (3, 224, 224)
    assert facts.mean == (0.485, 0.456, 0.406)
    assert facts.class_names is not None
    assert (facts.class_names[0], len(facts.class_names)) == ("tench", 1000)

    facts = facts_on("timm:vit_tiny_patch16_224")
    assert (facts.input_shape, facts.mean) == ((3, 224, 224), (0.5, 0.5, 0.5))
    assert facts.class_names is not None
    assert (facts.class_names[0], len(facts.class_names)) == ("tench, Tinca tinca", 1000)


def test_googlenet_with_its_published_standardisation() -> None:
    """What torchvision does to images where it comes with weights, and what is stated here."""
    models = import_torchvision().models
    theirs = models.googlenet(init_weights=False, aux_logits=False, transform_input=True).eval()
    weights = {**theirs.state_dict()}
    facts = facts_on("torchvision:googlenet")
    x = torch.rand(2, 3, 64, 64)
    mean, std = (torch.tensor(one).view(-1, 1, 1) for one in (facts.mean, facts.std))
    ours = models.googlenet(init_weights=False, aux_logits=False, transform_input=False)
    ours.load_state_dict(weights)
    preset = models.get_model_weights("googlenet").DEFAULT.transforms()
    usual = [torch.tensor(one).view(-1, 1, 1) for one in (preset.mean, preset.std)]
    expected = logits(theirs, (x - usual[0]) / usual[1])
    torch.testing.assert_close(logits(ours, (x - mean) / std), expected, rtol=1e-4, atol=1e-4)


# --- networks that are built


@pytest.mark.parametrize("kind", SMALLEST)
def test_each_type_of_transformers(kind: str) -> None:
    config = {"model_type": kind, **SMALLEST[kind]}
    shape = (1, 32, 32)
    built = networks.build("transformers:x", input_shape=shape, num_classes=3, config=config)
    outline = networks.outline("transformers:x", input_shape=shape, num_classes=3, config=config)
    assert logits(built, torch.rand(2, *shape)).shape == (2, 3)
    shapes = [{n: t.shape for n, t in one.state_dict().items()} for one in (built, outline)]
    assert shapes[0] == shapes[1]
    assert {tensor.device.type for tensor in outline.state_dict().values()} == {"meta"}


@pytest.mark.parametrize(
    "name",
    ["torchvision:mobilenet_v3_small", "torchvision:vit_b_32", "timm:resnet10t", "timm:test_vit"],
)
def test_channels_and_sizes_are_those_of_the_images(name: str) -> None:
    network = networks.outline(name, input_shape=(1, 32, 32), num_classes=3)
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    assert first.in_channels == 1


def test_a_recipe_names_them() -> None:
    file = load_recipe("gaussian")
    recipe = file.resolve(
        dataset="cifar10",
        sigma=0.5,
        overrides=["network.name=timm:resnet18", "network.drop_rate=0.25"],
    )
    assert recipe.network.model_dump() == {
        "name": "timm:resnet18",
        "drop_rate": 0.25,
        "drop_path_rate": 0.0,
        "patch_size": None,
    }
    overrides = [f"network.name={VIT}", "network.config.model_type=vit"]
    recipe = file.resolve(dataset="cifar10", sigma=0.5, overrides=overrides)
    assert recipe.network.options["config"]["hidden_size"] == 768
    with pytest.raises(RecipeError, match="expected model_type as one of"):
        file.resolve(
            dataset="cifar10",
            sigma=0.5,
            overrides=[f"network.name={VIT}", "network.config.model_type=x"],
        )


def test_a_library_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = imported(of_transformers(tmp_path), VIT)
    monkeypatch.setattr(library, "package_named", lambda name: None)
    for name, options, extra in (
        (VIT, {"config": TINY_VIT}, "transformers"),
        ("timm:resnet18", {}, "timm"),
    ):
        with pytest.raises(RszooError, match=rf"not installed; pip install 'rszoo\[{extra}\]'"):
            networks.build(name, input_shape=SHAPE, num_classes=3, **options)
    with pytest.raises(RszooError, match=r"pip install 'rszoo\[transformers\]'"):
        bundle.network()


# --- what a bundle may say


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("torchvision:resnet19", {}, "did you mean 'resnet18'"),
        ("torchvision:resnet18", {"weights": "DEFAULT"}, "no options"),
        ("torchvision:resnet18", {"pretrained": True}, "no options"),
        ("torchvision:regnet_x_400mf", {}, "unknown network"),
        ("torchvision:fasterrcnn_resnet50_fpn", {}, "unknown network"),
        ("torchvision:vit_b_16", {}, "cannot be built for images of 3x64x60|square"),
        ("timm:resnet19", {}, "did you mean 'resnet18'"),
        ("timm:hf-hub:somebody/net", {}, "unknown network"),
        ("timm:hf_hub:somebody/net", {}, "unknown network"),
        ("timm:local-dir:/etc", {}, "unknown network"),
        ("timm:resnet18", {"pretrained": True}, "no options"),
        ("timm:resnet18", {"checkpoint_path": "/etc/passwd"}, "no options"),
        ("timm:resnet18", {"pretrained_cfg": {}}, "no options"),
        ("timm:resnet18", {"drop_rate": 2.0}, "expects another drop_rate"),
        ("timm:resnet18", {"patch_size": 8}, "cannot be built"),
        ("timm:vit_tiny_patch16_224", {"patch_size": 10**6}, "expects another patch_size"),
        (VIT, {}, "needs the options"),
        (VIT, {"config": {}}, "expected model_type as one of"),
        (VIT, {"config": {"model_type": ["vit"]}}, "expected model_type as one of"),
        (VIT, {"config": {"model_type": "v" * 10**6}}, r"model_type as one of .*vvv\.\.\."),
        (VIT, {"config": {**TINY_VIT, "model_type": "gpt2"}}, "expected model_type as one of"),
        (VIT, {"config": {**TINY_VIT, "attn_implementation": "a/b"}}, "unknown keys"),
        (VIT, {"config": {**TINY_VIT, "_attn_implementation": "a/b"}}, "unknown keys"),
        (VIT, {"config": {**TINY_VIT, "auto_map": {"AutoModel": "x.X"}}}, "unknown keys"),
        (VIT, {"config": {**TINY_VIT, "trust_remote_code": True}}, "unknown keys"),
        (VIT, {"config": {**TINY_VIT, "quantization_config": {}}}, "unknown keys"),
        (VIT, {"config": {**TINY_VIT, "dtype": "bfloat16"}}, "unknown keys"),
        (VIT, {"config": {**TINY_VIT, "hidden_size": 10**9}}, "hidden_size"),
        (VIT, {"config": {**TINY_VIT, "hidden_size": "16"}}, "hidden_size"),
        (VIT, {"config": {**TINY_VIT, "hidden_act": "__import__"}}, "hidden_act"),
        (VIT, {"config": TINY_VIT, "trust_remote_code": True}, "no options"),
        ("transformers:../../x", {"config": TINY_VIT}, "expected a name such as"),
        ("transformers:", {"config": TINY_VIT}, "expected a name such as"),
        ("nobody:resnet18", {}, "unknown library of networks 'nobody'"),
        ("_registry:x", {}, "unknown library of networks"),
        ("torchvision:", {}, "unknown network"),
    ],
)
def test_what_is_refused(
    name: str, options: Mapping[str, Any], complaint: str, offline: list[object]
) -> None:
    with pytest.raises(RszooError, match=complaint):
        networks.outline(name, input_shape=(3, 64, 60), num_classes=3, **options)


def changed(bundle: Bundle, **values: Any) -> Bundle:
    config = json.loads((bundle.path / "config.json").read_text())
    (bundle.path / "config.json").write_text(json.dumps(config | values))
    return open_bundle(seal(bundle.path))


def test_another_size_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    bundle = imported(of_transformers(tmp_path), VIT)
    large = {"model_type": "vit", "hidden_size": 16_384, "num_attention_heads": 1}
    architecture = {"name": VIT, "config": {**large, "num_hidden_layers": 20}}
    with pytest.raises(IntegrityError, match="other names or shapes"):
        changed(bundle, architecture=architecture).network()


def test_tables_that_no_file_holds_are_bounded(tmp_path: Path) -> None:
    bundle = imported(of_transformers(tmp_path), VIT)
    values = {"name": "timm:beit_base_patch16_224"}
    with pytest.raises(RszooError, match="expected tables of at most 268,435,456 bytes"):
        changed(bundle, architecture=values, input_shape=[1, 2048, 2048]).network()


def test_an_option_that_the_config_states_elsewhere(tmp_path: Path) -> None:
    name = "torchvision:squeezenet1_1"
    bundle = imported(of_torchvision(tmp_path, "squeezenet1_1"), name)
    architecture = {"name": name, "num_classes": 7}
    with pytest.raises(RszooError, match=r"has no options \['num_classes'\]"):
        changed(bundle, architecture=architecture).network()


def test_the_versions_are_named_where_weights_do_not_fit(tmp_path: Path) -> None:
    bundle = imported(of_torchvision(tmp_path, "squeezenet1_1"), "torchvision:squeezenet1_1")
    library = {"name": "torchvision", "version": "0.1"}
    with pytest.raises(IntegrityError, match=r" of torchvision 0\.1, here .*, got other names"):
        changed(bundle, library=library, architecture={"name": "torchvision:resnet34"}).network()


@pytest.mark.parametrize(
    ("file", "values", "complaint"),
    [
        ("config.json", {"auto_map": {"AutoConfig": "evil.Config"}}, "plain sizes, got auto_map"),
        ("config.json", {"attn_implementation": "a/b"}, "plain sizes, got attn_implementation"),
        ("config.json", {"quantization_config": {"bits": 4}}, "plain sizes"),
        ("config.json", {"model_type": "unheard"}, "expected model_type as one of"),
        ("config.json", {"model_type": []}, "expected model_type as one of"),
        ("config.json", {"num_hidden_layers": 2}, "missing keys"),
        ("config.json", {"hidden_size": -1}, "hidden_size"),
        ("adapter_config.json", {"base_model_name_or_path": "/etc"}, "with adapter_config.json"),
        ("model.safetensors.index.json", {"weight_map": {}}, "index.json"),
    ],
)
def test_folders_that_are_refused(
    file: str,
    values: dict[str, Any],
    complaint: str,
    tmp_path: Path,
    offline: list[object],
) -> None:
    folder = of_transformers(tmp_path)
    path = folder / file
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(before | values))
    with pytest.raises(RszooError, match=complaint):
        imported(folder, VIT)
    assert not (folder.parent / "it").exists()


def test_a_missing_head_is_no_random_one(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = of_transformers(tmp_path)
    weights = load_file(folder / "model.safetensors")
    save_file(
        {k: v for k, v in weights.items() if "classifier" not in k}, folder / "model.safetensors"
    )
    with pytest.raises(RszooError, match=r"2 missing keys \(classifier.bias, classifier.weight"):
        imported(folder, VIT)


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(RszooError, match=r"nowhere: expected a file with weights, or a folder"):
        source_of(tmp_path / "nowhere", "transformers:google/vit-base-patch16-224", sigma=0.5)

"""`rszoo.save`: a classifier of one's own becomes a bundle, or is refused with what to do."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from forks import Forks
from hub_server import RunningHub
from onnx_files import CLASSES, SHAPE, model, node, write
from torch import Tensor, nn
from typer.testing import CliRunner, Result

import rszoo
from rszoo import SmoothedClassifier
from rszoo._torchvision import import_torchvision
from rszoo.data import Normalization
from rszoo.errors import RszooError
from rszoo.exchange.saving import save
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.classifiers import load
from rszoo.hub.kinds import kind_of
from rszoo.hub.kinds.cascade import compose_cascade
from rszoo.networks.normalize import Normalize
from rszoo.networks.onnx_network import read_onnx
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.execution import Execution
from rszoo_cli import app

SAVED = "expected the logits of the classifier's network, got others"


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def smoothed(
    network: object, shape: tuple[int, ...] | None = SHAPE, **more: Any
) -> SmoothedClassifier:
    values: dict[str, Any] = {"sigma": 0.5, "num_classes": CLASSES, "input_shape": shape, **more}
    return SmoothedClassifier(network, device="cpu", precision="float32", **values)  # type: ignore[arg-type]


class CNN(nn.Module):
    """A network of the user's own, whose file has the names of `small_cnn` of rszoo."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Linear(16, 32)
        self.fc1 = nn.Linear(32 * 9, 128)
        self.fc2 = nn.Linear(128, CLASSES)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        patches = nn.functional.unfold(x, 4, stride=2).mT
        x = self.fc1(self.conv(patches).relu().flatten(1)).relu()
        return {"logits": self.fc2(x)}


def certificates(classifier: SmoothedClassifier) -> list[object]:
    images = torch.rand(2, *SHAPE, generator=torch.manual_seed(3))
    return [*classifier.certify_batch(images, n=200, seed=1)]


def test_a_network_with_a_name(tmp_path: Path) -> None:
    classifier = smoothed(CNN(), class_names=("a", "b", "c"))
    bundle = save(classifier, tmp_path / "mine", architecture="small_cnn")
    config = json.loads((bundle.path / "config.json").read_text())
    assert config["architecture"] == {"name": "small_cnn"}
    assert "library" not in config
    assert (config["name"], config["class_names"]) == ("mine", ["a", "b", "c"])
    again = load(bundle.path, device="cpu", precision="float32")
    assert certificates(again) == certificates(classifier)  # type: ignore[arg-type]
    with pytest.raises(RszooError, match="expected a new folder"):
        save(classifier, tmp_path / "mine", architecture="small_cnn")
    save(classifier, tmp_path / "mine", architecture="small_cnn", overwrite=True)


def test_of_a_library_with_a_standardisation(tmp_path: Path) -> None:
    constants = Normalization((0.5, 0.25, 0.5), (0.5, 2.0, 1.0))
    bare = import_torchvision().models.squeezenet1_1(num_classes=4)
    network = nn.Sequential(Normalize(constants), nn.DataParallel(bare))
    classifier = smoothed(network, (3, 32, 32), num_classes=4)
    name = "torchvision:squeezenet1_1"
    with pytest.raises(RszooError, match=SAVED):
        save(classifier, tmp_path / "net", architecture=name)
    assert not (tmp_path / "net").exists()
    bundle = save(classifier, tmp_path / "net", architecture=name, normalization=constants)
    assert bundle.of_network.class_names == ("0", "1", "2", "3")
    assert bundle.of_network.normalization == constants
    x = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(bundle.network()(x), network.eval()(x))


def test_a_data_set_that_only_its_author_knows(tmp_path: Path) -> None:
    save(smoothed(CNN()), tmp_path / "it", architecture="small_cnn")
    with pytest.raises(
        RszooError, match=r"'own'.*, or say with --dataset where the data set lies"
    ):
        run("certify", "--model", tmp_path / "it", "--n", 10)


def other_answers() -> nn.Module:
    network = CNN()
    network.register_forward_hook(lambda module, given, answer: -answer["logits"])
    return network


@pytest.mark.parametrize(
    ("given", "options", "complaint"),
    [
        (smoothed(nn.Linear(1, 1)), {"architecture": "small_cnn"}, "6 missing|6 tensors"),
        (smoothed(CNN()), {"architecture": "small_cn"}, "did you mean 'small_cnn'"),
        (smoothed(CNN()), {"architecture": "mine"}, "torchvision:resnet18; .* is saved as ONNX"),
        (smoothed(CNN()), {"architecture": "small_cnn", "options": {"width": 2}}, "unknown key"),
        (smoothed(CNN(), None), {"architecture": "small_cnn"}, "a classifier with input_shape"),
        (smoothed(CNN(), (64,)), {"architecture": "small_cnn"}, "a classifier with input_shape"),
        (smoothed(other_answers()), {"architecture": "small_cnn"}, SAVED),
        (smoothed(lambda x: x.flatten(1)[:, :3]), {"architecture": "small_cnn"}, "6 tensors"),
        (smoothed(CNN()), {"architecture": "small_cnn", "name": "../up"}, "name: "),
        (
            smoothed(CNN()),
            {"architecture": "small_cnn", "normalization": Normalization((0.5, 0.5), (1.0, 1.0))},
            "normalization: .*for 1 channels",
        ),
        (smoothed(CNN()), {"architecture": "net.pt2"}, "run code of their authors"),
        (smoothed(CNN()), {"architecture": "net.pt"}, "run code of their authors"),
        (CNN(), {"architecture": "small_cnn"}, "expected a SmoothedClassifier, got CNN"),
    ],
)
def test_what_cannot_be_saved(
    given: SmoothedClassifier, options: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(RszooError, match=complaint):
        save(given, tmp_path / "it", **options)
    assert list(tmp_path.iterdir()) == []


def test_several_networks_are_not_saved_as_one(tmp_path: Path) -> None:
    experts = [smoothed(CNN(), sigma=sigma) for sigma in (0.25, 0.5)]
    with pytest.raises(RszooError, match="got CascadeClassifier; save its parts"):
        save(CascadeClassifier(experts), tmp_path / "it", architecture="small_cnn")  # type: ignore[arg-type]


# --- of one's own network, and of an ONNX file


@pytest.mark.parametrize("kind", ["onnx", "cnn"])
def test_from_saving_to_another_process(
    kind: str, tmp_path: Path, hub: RunningHub, forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.chdir(tmp_path)
    data = digits_of_three(tmp_path)
    path = write(tmp_path / "net.onnx", model())
    network, architecture = (read_onnx(path), path) if kind == "onnx" else (CNN(), "small_cnn")
    bundle = rszoo.save(
        smoothed(network, class_names=("0", "1", "2")),
        tmp_path / "it",
        architecture=architecture,
        dataset=str(data),
    )
    shown = {"onnx": "opaque (ONNX)", "cnn": "small_cnn"}[kind]
    assert shown in run("show", bundle.path).output

    run(
        *("certify", "--model", bundle.path, "--n0", 10, "--n", 100, "--alpha", 0.1, "--attach"),
        *("--skip", 1, "--seed", 1, "--precision", "float32"),
    )
    protocol = json.loads((bundle.path / "certificates.json").read_text())
    assert protocol.get("opaque", False) == (kind == "onnx")
    assert protocol["precision"] == "float32"
    log = bundle.path / "certificates.tsv"
    run("report", log)
    run("verify", bundle.path, "--n", 100, "--dataset", data)
    pushed = run("push", bundle.path, "org/it").output.split()[0]
    card = hub.api.hf_hub_download("org/it", "README.md")
    assert ("Its network is opaque: an ONNX file" in Path(card).read_text()) == (kind == "onnx")

    (tmp_path / "again.py").write_text(
        "import numpy, rszoo, torch\n"
        f"model = rszoo.load({pushed!r}, device='cpu', precision='float32')\n"
        f"x = torch.from_numpy(numpy.load({str(data)!r})['test_images'])\n"
        "for one in model.certify_batch(x, n0=10, n=100, alpha=0.1, seed=1):\n"
        "    print(one.label, one.radius)\n"
    )
    with open(tmp_path / "printed", "wb") as out:
        assert forks.start(str(tmp_path / "again.py"), stdout=out).wait() == 0
    rows = [line.split("\t") for line in log.read_text().splitlines()[1:]]
    printed = [line.split() for line in (tmp_path / "printed").read_text().splitlines()]
    assert printed == [[row[2], row[3]] for row in rows]


def digits_of_three(folder: Path) -> Path:
    import numpy as np

    values = {
        f"{split}_{kind}": one
        for split in ("train", "test")
        for kind, one in (
            ("images", np.random.default_rng(0).random((3, *SHAPE), "float32")),
            ("labels", np.arange(3)),
        )
    }
    np.savez(folder / "three.npz", **values, class_names=np.array(["0", "1", "2"]))
    return folder / "three.npz"


@pytest.fixture
def opaque(tmp_path: Path) -> Bundle:
    path = write(tmp_path / "net.onnx", model())
    return save(smoothed(read_onnx(path)), tmp_path / "it", architecture=path)


def test_the_file_is_put_into_the_bundle_as_it_is(opaque: Bundle, tmp_path: Path) -> None:
    assert (opaque.path / "model.onnx").read_bytes() == (tmp_path / "net.onnx").read_bytes()


def test_an_onnx_file_of_another_network(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx", model())
    with pytest.raises(RszooError, match=SAVED):
        save(smoothed(CNN()), tmp_path / "it", architecture=path)
    with pytest.raises(RszooError, match="expected an ONNX file alone"):
        save(smoothed(read_onnx(path)), tmp_path / "it", architecture=path, options={"depth": 8})


def test_what_an_opaque_network_cannot_do(opaque: Bundle) -> None:
    with pytest.raises(RszooError, match="expected precision 'auto' or 'float32'"):
        load(opaque.path, precision="bfloat16")
    with pytest.raises(RszooError, match="a network of PyTorch to compile"):
        load(opaque.path, compile=True)
    with pytest.raises(RszooError, match="got one whose network is opaque, an ONNX file"):
        opaque.network()
    with pytest.raises(RszooError, match=r"it is model.onnx in the bundle"):
        kind_of(opaque).network(opaque)
    with pytest.raises(RszooError, match="as an expert, got one of kind 'opaque'"):
        compose_cascade(opaque.path.parent / "two", experts=[opaque, opaque])


def test_a_file_that_changed_after_the_check_does_not_run(opaque: Bundle) -> None:
    write(opaque.path / "model.onnx", model(node("Neg", "logits")))
    with pytest.raises(RszooError, match=r"model.onnx: expected sha256 .*, got "):
        kind_of(opaque).classifier(opaque, Execution())
    with pytest.raises(RszooError, match=r"model.onnx"):
        open_bundle(opaque.path)


def test_a_log_that_hides_that_the_network_is_opaque(opaque: Bundle, tmp_path: Path) -> None:
    log = tmp_path / "it.tsv"
    data = digits_of_three(tmp_path)
    run("certify", "--model", opaque.path, "--n", 100, "--out", log, "--dataset", data)
    protocol = json.loads(log.with_suffix(".json").read_text())
    del protocol["opaque"]
    log.with_suffix(".json").write_text(json.dumps(protocol))
    result = CliRunner().invoke(app, ["verify", str(log), "--model", str(opaque.path)])
    assert "opaque" in f"{result.exception}{result.output}"
    assert result.exit_code == 1

"""`rszoo export`: what is written computes what the bundle computes, and says what it is not."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from rszoo import networks
from rszoo.data import Normalization
from rszoo.errors import IntegrityError, RszooError
from rszoo.exchange import onnx_file
from rszoo.exchange.export import export
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.origin import Origin
from rszoo.hub.writing import write_bundle
from rszoo_cli import app

NOTE = "The certificate does not travel with this network: one evaluation of it certifies nothing."


def bundle_of(
    folder: Path, architecture: dict, shape: tuple[int, int, int], *, normalized: bool = False
) -> Bundle:
    normalization = None
    if normalized:
        normalization = Normalization((0.4, 0.5, 0.6)[: shape[0]], (0.2, 0.3, 0.25)[: shape[0]])
    network = networks.build(
        **architecture, input_shape=shape, num_classes=3, normalization=normalization
    ).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    config = NetworkConfig(
        name="it",
        method="gaussian",
        dataset="x",
        architecture=architecture,
        input_shape=shape,
        normalization=normalization,
        class_names=("cat, or kitten", "dog", "both"),
        sigma=0.5,
        trained_precision="float32",
    )
    return write_bundle(folder / "it", config=config, network=network, recipe="", origin=Origin())


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return bundle_of(tmp_path, {"name": "small_cnn"}, (3, 8, 8), normalized=True)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def logits_of(bundle: Bundle, x: Tensor) -> Tensor:
    with torch.no_grad():
        return bundle.network()(x)


def snippet(text: str, start: str) -> str:
    """Return the lines of code in a README from the one that begins with `start`."""
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    return "\n".join(lines[next(i for i, line in enumerate(lines) if line.startswith(start)) :])


def test_a_state_dict(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(bundle.path, "--out", out, "--format", "state_dict")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out / 'README.txt'}\n{out / 'model.safetensors'}\n"
    assert " ".join(result.stderr.split()) == NOTE
    assert {path.name for path in out.iterdir()} == {"README.txt", "model.safetensors"}
    weights = load_file(out / "model.safetensors")
    expected = bundle.network().state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize(
    ("architecture", "shape"),
    [({"name": "small_cnn"}, (1, 8, 8)), ({"name": "cifar_resnet", "depth": 8}, (3, 16, 16))],
)
def test_the_readme_says_how_to_load_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    architecture: dict,
    shape: tuple[int, int, int],
    normalized: bool,
) -> None:
    bundle = bundle_of(tmp_path, architecture, shape, normalized=normalized)
    export(bundle, tmp_path / "out", formats=["state_dict"])
    text = (tmp_path / "out" / "README.txt").read_text()
    assert NOTE in text
    assert "sigma = 0.5" in text
    assert '["cat, or kitten", "dog", "both"]' in text
    assert bundle.weights_digest in text
    assert "model.onnx" not in text
    monkeypatch.chdir(tmp_path / "out")
    images = torch.rand(4, *shape)
    plain = networks.build(**architecture, input_shape=shape, num_classes=3)[1]
    names = {"images": images, "network": plain}
    with torch.no_grad():
        exec(snippet(text, "import torch"), names)
        expected = logits_of(bundle, images)
        torch.testing.assert_close(names["logits"], expected)
        assert torch.equal(names["model"](images), expected)


def test_a_builtin_bundle_as_json(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    result = run(*("builtin/digits-cat_rs-0.50", "--out", out), "--format", "state_dict", "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["folder"] == str(out)
    assert sorted(facts["files"]) == ["README.txt", "model.safetensors"]
    assert facts["onnx_difference"] is None
    assert facts["note"] == NOTE
    assert result.stderr == ""


@pytest.mark.parametrize("format", ["onnx", "both"])
def test_without_the_packages_nothing_is_written(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    for name in ("onnx", "onnxruntime", "onnxscript"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    result = run(bundle.path, "--out", tmp_path / "out", "--format", format)
    assert isinstance(result.exception, RszooError)
    assert "pip install 'rszoo[onnx]', or --format state_dict goes without" in str(
        result.exception
    )
    assert not (tmp_path / "out").exists()


def test_an_unknown_format(bundle: Bundle, tmp_path: Path) -> None:
    result = run(bundle.path, "--out", tmp_path / "out", "--format", "onxx")
    assert result.exit_code == 2
    assert "expected --format onnx, state_dict or both, got 'onxx'" in " ".join(
        result.output.replace("│", " ").split()
    )
    with pytest.raises(RszooError, match=r"unknown format 'onxx' \(did you mean 'onnx'"):
        export(bundle, tmp_path / "out", formats=["onxx"])
    with pytest.raises(RszooError, match="unknown format ''"):
        export(bundle, tmp_path / "out", formats=[])


def test_an_export_is_replaced_only_when_asked(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = (bundle.path, "--out", out, "--format", "state_dict")
    assert run(*arguments).exit_code == 0
    (out / "README.txt").write_text("mine")
    result = run(*arguments)
    assert str(result.exception) == (
        f"{out} exists; choose another --out, or --overwrite replaces it"
    )
    assert (out / "README.txt").read_text() == "mine"
    assert run(*arguments, "--overwrite").exit_code == 0
    assert NOTE in (out / "README.txt").read_text()
    (out / "thesis").write_text("x")
    result = run(*arguments, "--overwrite")
    assert str(result.exception) == (
        f"expected an earlier export to replace, got '{out}' with ['thesis']; choose another --out"
    )
    assert (out / "thesis").read_text() == "x"


def test_a_bundle_is_no_earlier_export(bundle: Bundle) -> None:
    before = bundle.manifest
    result = run(bundle.path, "--out", bundle.path, "--format", "state_dict", "--overwrite")
    assert isinstance(result.exception, RszooError)
    assert open_bundle(bundle.path).manifest == before


def test_a_damaged_bundle_is_not_exported(bundle: Bundle, tmp_path: Path) -> None:
    weights = bundle.path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    result = run(bundle.path, "--out", tmp_path / "out", "--format", "state_dict")
    assert isinstance(result.exception, IntegrityError)
    assert not (tmp_path / "out").exists()


# ONNX: these need rszoo[onnx]


def session_of(content: bytes):  # noqa: ANN201  # a type of a package that may be missing
    runtime = pytest.importorskip("onnxruntime")
    return runtime.InferenceSession(content, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [
        ({"name": "small_cnn"}, (3, 8, 8)),
        ({"name": "lenet"}, (1, 17, 18)),
        ({"name": "cifar_resnet", "depth": 8}, (3, 32, 32)),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_onnx_logits_are_pytorchs(
    tmp_path: Path, architecture: dict, shape: tuple[int, int, int]
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    bundle = bundle_of(tmp_path, architecture, shape, normalized=True)
    out = tmp_path / "out"
    result = run(bundle.path, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["onnx_difference"] < 1e-5
    assert sorted(facts["files"]) == ["README.txt", "model.onnx", "model.safetensors"]
    content = (out / "model.onnx").read_bytes()
    session = session_of(content)
    for batch in (1, 2, 7):  # the batch axis is free
        x = torch.rand(batch, *shape)
        logits = session.run(["logits"], {"images": x.numpy()})[0]
        np.testing.assert_allclose(logits, logits_of(bundle, x).numpy(), rtol=0, atol=1e-5)
    assert session.get_modelmeta().description == NOTE
    for private in (str(Path(networks.__file__).parent), "site-packages", ".py"):
        assert private.encode() not in content
    text = (out / "README.txt").read_text()
    code = snippet(text, "import onnxruntime").partition("import torch")[0]
    names = {"images": x.numpy()}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(out)
        exec(code, names)
    np.testing.assert_array_equal(names["logits"], logits)


class Differing(nn.Module):
    """Answers otherwise when it is traced."""

    def forward(self, x: Tensor) -> Tensor:
        y = x.flatten(1)
        return y + 1e-4 if torch.compiler.is_exporting() else y


def test_onnx_that_differs_is_refused() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    with pytest.raises(RszooError, match="expected ONNX logits within 1e-05 of PyTorch's, got"):
        onnx_file.onnx_model(Differing().eval(), input_shape=(1, 2, 2), sigma=0.1, note="")

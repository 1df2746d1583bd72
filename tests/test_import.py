"""`rszoo import`: checkpoints of the original research codes, and files that are none."""

import io
import json
import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from rszoo._torchvision import import_torchvision
from rszoo.data import Normalization
from rszoo.data.sets import imagenet
from rszoo.errors import RecipeError, RszooError
from rszoo.exchange.checkpoint import read_checkpoint
from rszoo.exchange.stated import Statement
from rszoo.exchange.weights import put_weights
from rszoo.hub.bundle import open_bundle
from rszoo.networks import build
from rszoo_cli import app

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


class OriginalLeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5, 1)
        self.conv2 = nn.Conv2d(20, 50, 5, 1)
        self.fc1 = nn.Linear(4 * 4 * 50, 500)
        self.fc2 = nn.Linear(500, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2, 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2, 2)
        return self.fc2(F.relu(self.fc1(x.view(-1, 4 * 4 * 50))))


class OriginalBlock(nn.Module):
    def __init__(self, planes_in: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(planes_in, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or planes_in != planes:
            shortcut = nn.Conv2d(planes_in, planes, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(planes))

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class OriginalResNet(nn.Module):
    def __init__(self, depth: int, num_classes: int = 10) -> None:
        super().__init__()
        n = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self.stage(16, 16, n, 1)
        self.layer2 = self.stage(16, 32, n, 2)
        self.layer3 = self.stage(32, 64, n, 2)
        self.avgpool = nn.AvgPool2d(8)
        self.fc = nn.Linear(64, num_classes)

    @staticmethod
    def stage(planes_in: int, planes: int, n: int, stride: int) -> nn.Sequential:
        blocks = [OriginalBlock(planes_in, planes, stride)]
        return nn.Sequential(*blocks, *(OriginalBlock(planes, planes, 1) for _ in range(1, n)))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.avgpool(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.view(x.size(0), -1))


class OriginalNormalize(nn.Module):
    """Subtracts, and divides where it has something to divide by; no state, or some as buffers."""

    def __init__(self, mean: tuple, std: tuple | None = None, *, buffers: bool = False) -> None:
        super().__init__()
        self.means, self.sds = torch.tensor(mean), torch.tensor(std or (1.0, 1.0, 1.0))
        if buffers:
            means, sds = self.means, self.sds
            del self.means, self.sds
            self.register_buffer("means", means)
            self.register_buffer("sds", sds)

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        means, sds = (
            each.repeat((n, height, width, 1)).permute(0, 3, 1, 2)
            for each in (self.means, self.sds)
        )
        return (x - means) / sds


def resnet(depth: int = 8, num_classes: int = 10) -> nn.Module:
    """With statistics and scales that a mistake would show in."""
    network = OriginalResNet(depth, num_classes)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network


def save(folder: Path, weights: object, **entries: object) -> Path:
    path = folder / "checkpoint.pth.tar"
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}
    torch.save({"epoch": 90, "state_dict": weights, "optimizer": optimizer, **entries}, path)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["import", *map(str, arguments)])


def cifar(path: Path, out: Path, *more: object, normalization: str = "full") -> Result:
    return run(
        *(path, "--name", "it", "--dataset", "cifar10", "--sigma", 0.5, "--out", out),
        *("--architecture", "cifar_resnet", "--normalization", normalization),
        *("--data-root", out.parent / "nothing", "--option", "depth=8", *more),
    )


def mnist(path: Path, out: Path, *more: object) -> Result:
    return run(
        *(path, "--name", "it", "--dataset", "mnist", "--sigma", 0.25, "--out", out),
        *("--architecture", "lenet", "--normalization", "none"),
        *("--data-root", out.parent / "nothing", *more),
    )


def refused(result: Result, out: Path) -> str:
    assert isinstance(result.exception, RszooError), result.output
    assert not out.exists()
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []
    return str(result.exception)


def assert_equal_logits(out: Path, original: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.rand(6, *shape) + 0.5 * torch.randn(6, *shape)
    with torch.no_grad():
        expected, actual = original.eval()(x), open_bundle(out).network()(x)
    assert expected.std() > 0.01
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


WRAPPED: dict[str, Callable[[nn.Module, nn.Module], nn.Module]] = {
    "1.": nn.Sequential,
    "1.module.": lambda first, network: nn.Sequential(first, nn.DataParallel(network)),
    "module.1.": lambda first, network: nn.DataParallel(nn.Sequential(first, network)),
}


@pytest.mark.parametrize("prefix", WRAPPED)
@pytest.mark.parametrize("buffers", [False, True])
def test_prefixes(tmp_path: Path, prefix: str, buffers: bool) -> None:
    original = WRAPPED[prefix](OriginalNormalize(MEAN, STD, buffers=buffers), resnet())
    weights = original.state_dict()
    assert sum(name.startswith(prefix) for name in weights) == len(weights) - 2 * buffers
    result = cifar(save(tmp_path, weights, arch="cifar_resnet8"), tmp_path / "it")
    assert result.exit_code == 0, result.output
    assert_equal_logits(tmp_path / "it", original, (3, 32, 32))


@pytest.mark.parametrize("spread", [False, True])
def test_bare_networks(tmp_path: Path, spread: bool) -> None:
    original = resnet()
    weights = (nn.DataParallel(original) if spread else original).state_dict()
    path = tmp_path / "440.pth"
    torch.save({"net": weights, "epoch": 440}, path)  # as the MACER code does
    assert cifar(path, tmp_path / "it", normalization="none").exit_code == 0
    assert_equal_logits(tmp_path / "it", original, (3, 32, 32))
    torch.save(weights, path)
    assert cifar(path, tmp_path / "other", normalization="none").exit_code == 0
    assert_equal_logits(tmp_path / "other", original, (3, 32, 32))


@pytest.mark.parametrize(
    ("normalization", "first"),
    [
        ("full", OriginalNormalize(MEAN, STD)),
        ("centre", OriginalNormalize(MEAN)),
        ("none", nn.Identity()),
    ],
)
def test_standardisation_is_as_stated(
    tmp_path: Path, normalization: str, first: nn.Module
) -> None:
    original = nn.Sequential(first, resnet())
    path = save(tmp_path, original.state_dict())
    assert cifar(path, tmp_path / "it", normalization=normalization).exit_code == 0
    assert_equal_logits(tmp_path / "it", original, (3, 32, 32))


def test_lenet_and_what_the_bundle_says(tmp_path: Path) -> None:
    original = nn.Sequential(nn.Identity(), OriginalLeNet())
    path = save(tmp_path, original.state_dict(), arch="lenet")
    result = mnist(path, tmp_path / "it", "--method", "cat_rs", "--json")
    assert result.exit_code == 0, result.output
    assert_equal_logits(tmp_path / "it", original, (1, 28, 28))
    bundle = open_bundle(tmp_path / "it")
    config = bundle.config
    assert (config.name, config.method, config.dataset) == ("it", "cat_rs", "mnist")
    assert (config.sigma, config.normalization) == (0.25, None)
    assert config.class_names == tuple("0123456789")
    digest = read_checkpoint(path).sha256
    assert bundle.manifest.origin.model_dump()["imported"] == {
        "file": "checkpoint.pth.tar",
        "sha256": digest,
        "arch": "lenet",
        "epoch": 90,
    }
    assert bundle.manifest.origin.check is None
    assert bundle.recipe.read_text().startswith("# Not a recipe: the model was imported")
    facts = json.loads(result.stdout)
    assert facts["checkpoint_sha256"] == digest
    assert (facts["check"], facts["doubts"]) == (None, [])
    assert facts["unchecked"].startswith("mnist: expected torchvision's files in ")
    assert result.stderr.startswith("warning: the accuracy was not checked: mnist: ")


def test_resnet50_has_torchvisions_names(tmp_path: Path) -> None:
    resnet50 = import_torchvision().models.resnet50()
    original = nn.Sequential(OriginalNormalize(MEAN, STD), nn.DataParallel(resnet50))
    normalization = Normalization(MEAN, STD)
    ours = build(
        "resnet50", input_shape=(3, 32, 32), num_classes=1000, normalization=normalization
    )
    checkpoint = read_checkpoint(save(tmp_path, original.state_dict()))
    put_weights(ours, checkpoint, normalization=normalization)
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(x), original.eval()(x), rtol=1e-4, atol=1e-4)


def test_old_formats(tmp_path: Path) -> None:
    """Before PyTorch 1.6 files were no archives, before 0.4.1 they lacked the batch counters."""
    original = resnet()
    weights = {
        name: tensor
        for name, tensor in original.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    path = tmp_path / "old"
    torch.save({"state_dict": weights}, path, _use_new_zipfile_serialization=False)
    assert cifar(path, tmp_path / "it", normalization="none").exit_code == 0
    assert_equal_logits(tmp_path / "it", original, (3, 32, 32))


def test_weights_in_half_precision(tmp_path: Path) -> None:
    original = resnet().half()
    path = save(tmp_path, original.state_dict())
    assert cifar(path, tmp_path / "it", normalization="none").exit_code == 0
    assert_equal_logits(tmp_path / "it", original.float(), (3, 32, 32))


# What is no checkpoint


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.target),))


@pytest.mark.parametrize("archive", [True, False])
def test_a_malicious_pickle_is_not_executed(tmp_path: Path, archive: bool) -> None:
    target = tmp_path / "executed"
    path = tmp_path / "checkpoint.pth.tar"
    content = {"state_dict": OriginalLeNet().state_dict(), "extra": Malicious(target)}
    torch.save(content, path, _use_new_zipfile_serialization=archive)
    message = refused(mnist(path, tmp_path / "it"), tmp_path / "it")
    assert not target.exists()
    assert message.startswith(f"{path}: expected tensors and plain values, got a file that needs")
    assert "needs the Python object 'posix.mkdir'; rebuilding it could run any code" in message
    assert "weights_only" not in message
    torch.load(path, weights_only=False)  # the file would do it
    assert target.exists()


def test_python_objects_are_named(tmp_path: Path) -> None:
    from argparse import Namespace

    path = save(tmp_path, OriginalLeNet().state_dict(), args=Namespace(lr=0.1))
    message = refused(mnist(path, tmp_path / "it"), tmp_path / "it")
    assert "needs the Python object 'argparse.Namespace'" in message


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "a Git LFS pointer"),
        (b"", "an empty file"),
        (b"\x80\x02}q\x00.", "an unreadable or truncated file"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "checkpoint.pth.tar"
    path.write_bytes(content)
    message = refused(mnist(path, tmp_path / "it"), tmp_path / "it")
    assert message == f"{path}: expected a checkpoint of torch.save, got {found}; fetch it again"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
@pytest.mark.parametrize("archive", [True, False])
def test_a_truncated_file(tmp_path: Path, share: float, archive: bool) -> None:
    buffer = io.BytesIO()
    content = {"state_dict": OriginalLeNet().state_dict()}
    torch.save(content, buffer, _use_new_zipfile_serialization=archive)
    path = tmp_path / "checkpoint.pth.tar"
    path.write_bytes(buffer.getvalue()[: int(share * len(buffer.getvalue()))])
    assert "an unreadable or truncated file" in refused(
        mnist(path, tmp_path / "it"), tmp_path / "it"
    )


def test_a_missing_file(tmp_path: Path) -> None:
    message = refused(mnist(tmp_path / "none", tmp_path / "it"), tmp_path / "it")
    assert message == f"cannot read '{tmp_path / 'none'}': No such file or directory"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([torch.ones(2)], "expected a mapping with the key 'state_dict', got list"),
        ({}, "expected weights, got dict without any"),
        ({"state_dict": {}}, "expected weights, got dict without any"),
        ({"state_dict": torch.ones(2)}, "expected weights, got Tensor without any"),
        ({"model": {}, "epoch": 3}, "got other values among the keys 'epoch', 'model'"),
        ({"state_dict": {"a": 3}}, "got other values among the keys 'a'"),
        ({"state_dict": {3: torch.ones(2)}}, "got other values among the keys 3"),
    ],
)
def test_checkpoints_without_weights(tmp_path: Path, content: object, found: str) -> None:
    path = tmp_path / "checkpoint.pth.tar"
    torch.save(content, path)
    assert found in refused(mnist(path, tmp_path / "it"), tmp_path / "it")


# What does not fit


def test_another_architecture(tmp_path: Path) -> None:
    path = save(tmp_path, OriginalLeNet().state_dict(), arch="lenet")
    assert refused(cifar(path, tmp_path / "it"), tmp_path / "it") == (
        f"{path}: expected the 56 tensors of the network, got 46 missing ('bn1.weight', "
        "'bn1.bias', 'bn1.running_mean', ...) and 7 unknown ('conv1.bias', 'conv2.weight', "
        "'conv2.bias', ...); the file calls its network 'lenet'; check data set, architecture "
        "and options"
    )


def test_another_depth(tmp_path: Path) -> None:
    path = save(tmp_path, resnet(14).state_dict())
    assert "unknown ('layer1.1.conv1.weight', " in refused(
        cifar(path, tmp_path / "it"), tmp_path / "it"
    )


def test_another_number_of_classes(tmp_path: Path) -> None:
    path = save(tmp_path, resnet(num_classes=100).state_dict())
    assert refused(cifar(path, tmp_path / "it"), tmp_path / "it") == (
        f"{path}: expected fc.weight of shape 10x64, got 100x64; check data set, architecture "
        "and options"
    )


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (torch.full((10,), torch.nan), "expected finite numbers in fc2.bias, got others"),
        (torch.full((10,), 1e300, dtype=torch.float64), "expected finite numbers in fc2.bias"),
        (torch.ones(10).to_sparse(), "got torch.sparse_coo torch.float32 on cpu"),
        (torch.ones(10, dtype=torch.complex64), "got torch.strided torch.complex64 on cpu"),
        (torch.ones(10, device="meta"), "got torch.strided torch.float32 on meta"),
        (torch.ones(()), "expected fc2.bias of shape 10, got one number"),
    ],
)
def test_tensors_that_are_no_weights(tmp_path: Path, value: Tensor, found: str) -> None:
    path = save(tmp_path, OriginalLeNet().state_dict() | {"fc2.bias": value})
    assert found in refused(mnist(path, tmp_path / "it"), tmp_path / "it")


def test_names_of_a_hostile_file_are_shown_escaped(tmp_path: Path) -> None:
    path = save(tmp_path, OriginalLeNet().state_dict() | {"\x1b[2J" + 1000 * "x": torch.ones(1)})
    message = refused(mnist(path, tmp_path / "it"), tmp_path / "it")
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize(
    ("first", "normalization", "found"),
    [
        (OriginalNormalize(MEAN, STD, buffers=True), "centre", "expected sds [1.0, 1.0, 1.0]"),
        (OriginalNormalize(MEAN, STD, buffers=True), "none", "expected means [0.0, 0.0, 0.0]"),
        (OriginalNormalize(MEAN, buffers=True), "full", "expected sds [0.2023, 0.1994, 0.201]"),
        (OriginalNormalize(STD, STD, buffers=True), "full", "got [0.2023, 0.1994, 0.201]"),
        (nn.Conv2d(3, 3, 1), "full", "got 'weight' of shape 3x3x1x1; rszoo has no such layer"),
    ],
)
def test_a_first_layer_that_contradicts_the_statement(
    tmp_path: Path, first: nn.Module, normalization: str, found: str
) -> None:
    path = save(tmp_path, nn.Sequential(first, resnet()).state_dict())
    result = cifar(path, tmp_path / "it", normalization=normalization)
    assert found in refused(result, tmp_path / "it")


# What is stated wrongly

STATED = OrderedDict(
    name="it",
    dataset="cifar10",
    sigma=0.5,
    normalization="full",
    network={"name": "cifar_resnet", "depth": 20},
)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"sigma": -0.5}, "sigma: expected 0 <= sigma <= 100, got -0.5"),
        ({"sigma": 101.0}, "sigma: expected 0 <= sigma <= 100, got 101.0"),
        ({"sigma": float("nan")}, "sigma: expected a finite number, got nan"),
        (
            {"normalization": "center"},
            "normalization: expected one of ['full', 'centre', 'none', 'library']",
        ),
        ({"name": "../up"}, "name: expected"),
        ({"method": ""}, "method: expected"),
        ({"network": {"name": "cifar_resne"}}, "network.name: unknown network 'cifar_resne' (did"),
        ({"network": {"name": "cifar_resnet", "depth": "x"}}, "network.depth: expected an int"),
        ({"network": {"name": "cifar_resnet", "width": 2}}, "network.width: unknown key"),
    ],
)
def test_statements_out_of_range(wrong: dict[str, Any], problem: str) -> None:
    assert Statement.of(STATED).network["depth"] == 20
    with pytest.raises(RecipeError) as caught:
        Statement.of({**STATED, **wrong})
    assert str(caught.value).startswith(problem)


def test_a_wrong_sigma_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from rszoo_cli import main

    arguments = "x --name it --dataset mnist --architecture lenet --normalization none".split()
    with pytest.raises(SystemExit) as caught:
        main(["import", *arguments, "--sigma", "-1"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: sigma: expected 0 <= sigma <= 100, got -1.0\n"


@pytest.mark.parametrize("option", ["--sigma", "--normalization", "--dataset", "--architecture"])
def test_nothing_is_guessed(option: str) -> None:
    arguments = "x --name it --dataset mnist --architecture lenet --normalization none --sigma 1"
    words = arguments.split()
    place = words.index(option)
    result = run(*words[:place], *words[place + 2 :])
    assert result.exit_code == 2
    assert "Missing option" in result.output


@pytest.mark.parametrize("option", ["depth", "=8", "name=lenet", "depth=8"])
def test_options_that_are_none(tmp_path: Path, option: str) -> None:
    result = cifar(tmp_path / "x", tmp_path / "it", "--option", option)
    assert result.exit_code == 2
    assert "KEY=VALUE, each key once" in " ".join(result.output.split())


def test_mnist_has_no_customary_standardisation(tmp_path: Path) -> None:
    path = save(tmp_path, OriginalLeNet().state_dict())
    result = mnist(path, tmp_path / "it", "--normalization", "full")
    assert refused(result, tmp_path / "it") == (
        "expected normalization 'none', got 'full': data set 'mnist' has no customary "
        "standardisation"
    )


def test_a_data_set_whose_classes_only_its_files_can_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagenet, "SET", replace(imagenet.SET, class_names=()))
    path = save(tmp_path, OriginalLeNet().state_dict())
    result = mnist(path, tmp_path / "it", "--dataset", "imagenet")
    assert refused(result, tmp_path / "it").startswith("imagenet: expected torchvision's files")


def test_a_network_of_imagenet_without_imagenet(tmp_path: Path) -> None:
    plain = import_torchvision().models.resnet50(weights=None)
    path = save(tmp_path, {f"1.module.{key}": value for key, value in plain.state_dict().items()})
    stated = ["--name", "it", "--dataset", "imagenet", "--sigma", "0.5", "--normalization", "full"]
    options = ["--architecture", "resnet50", "--data-root", str(tmp_path), "--out"]
    result = CliRunner().invoke(
        app, ["import", str(path), *stated, *options, str(tmp_path / "it")]
    )
    assert result.exit_code == 0, result.output
    assert "the accuracy was not checked: imagenet: expected torchvision's files" in result.stderr
    config = json.loads((tmp_path / "it/config.json").read_text())
    assert (len(config["class_names"]), len({*config["class_names"]})) == (1000, 1000)
    assert config["class_names"][:2] == ["tench", "goldfish"]
    assert config["class_names"][-1] == "toilet tissue"
    assert config["normalization"]["mean"] == [0.485, 0.456, 0.406]


# What is there already


def test_a_bundle_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path, out = save(tmp_path, OriginalLeNet().state_dict()), tmp_path / "it"
    assert mnist(path, out).exit_code == 0
    before = open_bundle(out).weights_digest
    path = save(tmp_path, OriginalLeNet().state_dict())
    result = mnist(path, out)
    assert (
        str(result.exception) == f"{out} exists; choose another --out, or --overwrite replaces it"
    )
    assert open_bundle(out).weights_digest == before
    assert mnist(path, out, "--overwrite").exit_code == 0
    assert open_bundle(out).weights_digest != before


def test_only_bundles_are_replaced(tmp_path: Path) -> None:
    path, out = save(tmp_path, OriginalLeNet().state_dict()), tmp_path / "thesis"
    out.mkdir()
    (out / "chapter").write_text("x")
    result = mnist(path, out, "--overwrite")
    assert str(result.exception) == (
        f"expected a bundle to replace, got '{out}'; choose another --out"
    )
    assert (out / "chapter").read_text() == "x"

"""The check of an imported network: is it what it is said to be?"""

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner, Result

from rszoo import data
from rszoo._torchvision import import_torchvision
from rszoo.data import Normalization
from rszoo.exchange import importing, sanity
from rszoo.exchange.sanity import Check, check
from rszoo.hub.bundle import open_bundle
from rszoo.hub.catalog import find
from rszoo.networks import build
from rszoo.theory.rounding import as_share
from rszoo_cli import app

BUILTIN = "builtin/digits-gaussian-0.50"


def save(folder: Path, network: nn.Module) -> Path:
    torch.save({"epoch": 90, "state_dict": network.state_dict()}, folder / "checkpoint.pth.tar")
    return folder / "checkpoint.pth.tar"


def digits(path: Path, out: Path, *more: object, sigma: float = 0.5) -> Result:
    arguments = [
        *("import", path, "--name", "it", "--dataset", "digits", "--sigma", sigma, "--out", out),
        *("--architecture", "small_cnn", "--normalization", "none", "--device", "cpu", *more),
    ]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_good_import_is_certified(tmp_path: Path) -> None:
    path = save(tmp_path, find(BUILTIN).network())
    result = digits(path, tmp_path / "it")
    assert result.exit_code == 0, result.output
    accuracy = open_bundle(tmp_path / "it").manifest.origin.check.noisy_accuracy["none"]
    assert 0.5 < accuracy < 1
    assert result.stderr == ""
    share = as_share(accuracy)
    assert result.stdout == (
        f"{tmp_path / 'it'}\naccuracy under noise {share}% (360 test images; "
        f"by normalization: none {share}%)\n"
    )
    arguments = ["certify", "--model", str(tmp_path / "it"), "--n", "1000", "--limit", "3"]
    arguments += ["--out", str(tmp_path / "log.tsv"), "--device", "cpu", "--json"]
    certified = CliRunner().invoke(app, arguments)
    assert certified.exit_code == 0, certified.output
    assert json.loads(certified.stdout)["acr"] > 0


@pytest.mark.parametrize("sigma", ["0", "-0.0"])
def test_a_checkpoint_without_noise_becomes_the_accurate_part_of_a_mix(
    tmp_path: Path, sigma: str
) -> None:
    path = save(tmp_path, find(BUILTIN).network())
    result = digits(path, tmp_path / "it", sigma=sigma)  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    bundle = open_bundle(tmp_path / "it")
    clean = bundle.manifest.origin.check.noisy_accuracy["none"]
    assert f"\naccuracy {clean:.1%} (360 test images; " in result.stdout
    images = data.load("digits", "test")
    with torch.no_grad():
        right = bundle.network()(images.images(torch.arange(len(images)))).argmax(1)
    assert clean == pytest.approx((right == images.labels).double().mean().item())
    assert (bundle.of_network.kind, str(bundle.of_network.sigma)) == ("standard", "0.0")
    parts = ["--standard", str(tmp_path / "it"), "--robust", BUILTIN, "--alpha-mix", "0.8"]
    mixed = CliRunner().invoke(app, ["compose", "mixed", *parts, "--out", str(tmp_path / "mix")])
    assert mixed.exit_code == 0, mixed.output


def test_the_check_can_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "check", lambda *_, **__: pytest.fail("it checks"))
    monkeypatch.setattr(data, "load", lambda *_, **__: pytest.fail("it reads the data"))
    path = save(tmp_path, find(BUILTIN).network())
    result = digits(path, tmp_path / "it", "--no-check")
    assert result.exit_code == 0, result.output
    assert result.stderr == (
        "warning: the accuracy was not checked: it was left out, as asked for\n"
    )
    assert open_bundle(tmp_path / "it").manifest.origin.check is None


def test_the_check_takes_a_minute_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine on which an image takes a second, 60 images are all that is affordable."""

    class Clock:
        now = 0.0

        def perf_counter(self) -> float:
            return self.now

    class Slow(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            clock.now += len(x)
            return network(x)

    clock, network = Clock(), find(BUILTIN).network()
    monkeypatch.setattr(sanity, "time", clock)
    stated = {"sigma": 0.5, "stated": "none", "device": torch.device("cpu")}
    images = data.load("digits", "test")

    def checked(**choices: Normalization | None) -> Check:
        slow = nn.Sequential(nn.Identity(), Slow())
        slow[1].weights = network  # whose device is asked for
        return check(slow, images, choices={"none": None, **choices}, **stated)  # type: ignore[arg-type]

    assert checked().images == 60
    assert clock.now == 8 + 60
    assert checked(full=CHOICES["full"], centre=CHOICES["centre"]).images == 45  # every eighth


def test_an_untrained_network_is_doubted(tmp_path: Path) -> None:
    network = build("small_cnn", input_shape=(1, 8, 8), num_classes=10)
    result = digits(save(tmp_path, network), tmp_path / "it", "--json")
    assert result.exit_code == 0
    (doubt,) = json.loads(result.stdout)["doubts"]
    assert "expected 30% or more of a network trained at sigma 0.5" in doubt
    assert result.stderr.startswith("warning: accuracy under noise is ")


def test_the_noise_of_the_check_is_the_stated_one(tmp_path: Path) -> None:
    path = save(tmp_path, find(BUILTIN).network())
    accuracies = []
    for sigma in (0.1, 0.5, 5.0):
        result = digits(path, tmp_path / str(sigma), "--json", sigma=sigma)
        accuracies.append(json.loads(result.stdout)["check"]["noisy_accuracy"]["none"])
    assert accuracies[0] > accuracies[1] + 0.02 > accuracies[2] + 0.3


CHOICES = {
    "full": Normalization((1.0,), (0.1,)),
    "centre": Normalization((1.0,), (1.0,)),
    "none": None,
}


@pytest.mark.parametrize("stated", CHOICES)
def test_another_standardisation_that_fits_better_is_named(stated: str) -> None:
    """The network was trained without any."""
    network = find(BUILTIN).network()
    assert isinstance(network, nn.Sequential)
    first = network[0]
    result = check(
        network,
        data.load("digits", "test"),
        sigma=0.5,
        stated=stated,
        choices=CHOICES,
        device=torch.device("cpu"),
    )
    assert network[0] is first
    named = [doubt for doubt in result.doubts if "would fit better" in doubt]
    if stated == "none":
        assert result.doubts == []
    else:
        assert len(named) == 1
        assert named[0].startswith(f"--normalization none would fit better than {stated}: ")


@pytest.mark.parametrize(
    ("num_classes", "expected"), [(2, 0.75), (3, 2 / 3), (10, 0.3), (100, 0.1), (1000, 0.1)]
)
def test_what_is_expected_of_a_network(num_classes: int, expected: float) -> None:
    def made(accuracy: float) -> Check:
        return Check(
            images=500,
            sigma=1.0,
            stated="full",
            accuracies={"full": accuracy, "none": accuracy + 0.049},
            num_classes=num_classes,
        )

    assert made(0.5).expected == pytest.approx(expected)
    assert made(expected + 0.001).doubts == []
    assert len(made(expected - 0.001).doubts) == 1


def test_known_classes() -> None:
    for name, count in {"mnist": 10, "fashion_mnist": 10, "cifar10": 10, "cifar100": 100}.items():
        known = data.known_set(name)
        assert known is not None
        assert len(set(known.class_names)) == count
    fashion, known = import_torchvision().datasets.FashionMNIST, data.known_set("fashion_mnist")
    assert known is not None
    assert known.class_names == tuple(fashion.classes)
    assert data.known_set("digit") is None
    photographs = data.known_set("imagenet")
    assert photographs is not None
    listed = import_torchvision().models.ResNet50_Weights.IMAGENET1K_V1.meta["categories"]
    assert photographs.class_names == tuple(listed)

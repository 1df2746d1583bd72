"""Architectures against their published sizes and definitions; the registry and its errors."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rszoo import networks
from rszoo.errors import RszooError

SHAPES = {
    "cifar_resnet": (3, 32, 32),
    "cifar_resnet18": (3, 32, 32),
    "lenet": (1, 28, 28),
    "resnet50": (3, 64, 64),
    "small_cnn": (1, 8, 8),
}


@dataclass(frozen=True)
class Statistics:
    mean: tuple[float, ...]
    std: tuple[float, ...]


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "classes", "options", "expected"),
    [
        ("small_cnn", 10, {}, 38_826),
        ("lenet", 10, {}, 431_080),
        ("cifar_resnet", 10, {"depth": 20}, 272_474),
        ("cifar_resnet", 10, {}, 1_730_714),
        ("cifar_resnet", 100, {"depth": 110}, 1_736_564),
        ("cifar_resnet18", 10, {}, 11_173_962),
        ("resnet50", 1000, {}, 25_557_032),
    ],
)
def test_parameter_counts(name: str, classes: int, options: dict[str, Any], expected: int) -> None:
    network = networks.build(name, input_shape=SHAPES[name], num_classes=classes, **options)
    assert parameters(network) == expected


def test_the_registry_is_the_folder() -> None:
    assert networks.names() == sorted([*SHAPES, "dncnn", "drunet", "mixing"])


@pytest.mark.parametrize("name", sorted(SHAPES))
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_architecture_takes_any_channels_and_classes(name: str, channels: int) -> None:
    shape = (channels, *SHAPES[name][1:])
    options: dict[str, Any] = {"depth": 8} if name == "cifar_resnet" else {}
    network = networks.build(name, input_shape=shape, num_classes=7, **options).eval()
    with torch.inference_mode():
        logits = network(torch.rand(2, *shape))
    assert logits.shape == (2, 7)
    assert all(key.startswith("1.") for key in network.state_dict())


@pytest.mark.parametrize(
    ("name", "shape"),
    [("lenet", (3, 33, 20)), ("small_cnn", (2, 9, 5)), ("cifar_resnet", (3, 24, 40))],
)
def test_other_image_sizes_fit(name: str, shape: tuple[int, int, int]) -> None:
    options: dict[str, Any] = {"depth": 8} if name == "cifar_resnet" else {}
    network = networks.build(name, input_shape=shape, num_classes=3, **options).eval()
    assert network(torch.rand(2, *shape)).shape == (2, 3)


def test_lenet_equals_relu_before_pooling_exactly() -> None:
    lenet = networks.build("lenet", input_shape=(1, 28, 28), num_classes=10)
    w = lenet.state_dict()
    x = torch.randn(16, 1, 28, 28)

    y = F.max_pool2d(F.relu(F.conv2d(x, w["1.conv1.weight"], w["1.conv1.bias"])), 2)
    y = F.max_pool2d(F.relu(F.conv2d(y, w["1.conv2.weight"], w["1.conv2.bias"])), 2)
    y = F.relu(F.linear(y.flatten(1), w["1.fc1.weight"], w["1.fc1.bias"]))
    y = F.linear(y, w["1.fc2.weight"], w["1.fc2.bias"])

    assert torch.equal(lenet(x), y)


def test_cifar_resnet_equals_the_definition() -> None:
    network = networks.build("cifar_resnet", input_shape=(3, 32, 32), num_classes=10, depth=14)
    w = {key.removeprefix("1."): value for key, value in network.state_dict().items()}

    def conv_bn(x: Tensor, conv: str, bn: str, stride: int, padding: int) -> Tensor:
        x = F.conv2d(x, w[f"{conv}.weight"], stride=stride, padding=padding)
        return F.batch_norm(x, None, None, w[f"{bn}.weight"], w[f"{bn}.bias"], training=True)

    images = torch.rand(4, 3, 32, 32)
    x = F.relu(conv_bn(images, "conv1", "bn1", 1, 1))
    for stage in (1, 2, 3):
        for block in (0, 1):
            at, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = F.relu(conv_bn(x, f"{at}.conv1", f"{at}.bn1", stride, 1))
            y = conv_bn(y, f"{at}.conv2", f"{at}.bn2", 1, 1)
            if stride == 2:
                x = conv_bn(x, f"{at}.downsample.0", f"{at}.downsample.1", 2, 0)
            x = F.relu(x + y)
    expected = F.linear(F.avg_pool2d(x, 8).flatten(1), w["fc.weight"], w["fc.bias"])

    torch.testing.assert_close(network(images), expected)


def test_cifar_resnet_initialisation() -> None:
    torch.manual_seed(0)
    network = networks.build("cifar_resnet", input_shape=(3, 32, 32), num_classes=10, depth=20)
    state = network.state_dict()
    weights = state["1.layer3.1.conv1.weight"]
    expected = (2 / (9 * 64)) ** 0.5
    assert weights.std().item() == pytest.approx(expected, rel=0.02)
    assert weights.mean().item() == pytest.approx(0, abs=3 * expected / weights.numel() ** 0.5)
    assert torch.equal(state["1.layer3.1.bn1.weight"], torch.ones(64))
    assert torch.equal(state["1.layer3.1.bn1.bias"], torch.zeros(64))


def test_normalisation_is_the_first_layer_and_not_in_the_state_dict() -> None:
    statistics = Statistics(mean=(0.5, 0.25, 0.0), std=(0.5, 2.0, 1.0))
    shape = (3, 16, 16)
    network = networks.build("lenet", input_shape=shape, num_classes=5, normalization=statistics)
    x = torch.rand(2, *shape)
    expected = torch.stack(((x[:, 0] - 0.5) / 0.5, (x[:, 1] - 0.25) / 2.0, x[:, 2]), dim=1)

    torch.testing.assert_close(network[0](x), expected)
    assert set(network.state_dict()) == {
        f"1.{layer}.{kind}"
        for layer in ("conv1", "conv2", "fc1", "fc2")
        for kind in ("weight", "bias")
    }
    assert network.double()[0](x.double()).dtype == torch.float64


def test_no_normalisation_leaves_images_alone() -> None:
    network = networks.build("small_cnn", input_shape=(1, 8, 8), num_classes=10)
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(network[0](x), x)
    assert all(key.startswith("1.") for key in network.state_dict())


def test_options_are_what_an_architecture_takes() -> None:
    assert networks.options("lenet") == {}
    options = networks.options("cifar_resnet")
    assert {key: (each.annotation, each.default) for key, each in options.items()} == {
        "depth": (int, 110)
    }


@pytest.mark.parametrize(
    ("depth", "nearest"),
    [
        (18, "14 and 20"),
        (109, "104 and 110"),
        (2, "8 and 14"),
        (-4, "8 and 14"),
        (6_000_002, "1196 and 1202"),
    ],
)
def test_wrong_depth(depth: int, nearest: str) -> None:
    with pytest.raises(RszooError) as caught:
        networks.build("cifar_resnet", input_shape=(3, 32, 32), num_classes=10, depth=depth)
    assert str(caught.value) == (
        "network 'cifar_resnet' expects a depth of the form 6n+2 (8, 14, 20, ..., 1202), "
        f"got depth={depth}; the nearest are {nearest}"
    )


def test_unknown_name() -> None:
    with pytest.raises(RszooError) as caught:
        networks.build("lenett", input_shape=(1, 28, 28), num_classes=10)
    assert str(caught.value) == (
        "unknown network 'lenett' (did you mean 'lenet'?); "
        "expected one of ['cifar_resnet', 'cifar_resnet18', 'dncnn', 'drunet', 'lenet', 'mixing', "
        "'resnet50', 'small_cnn'], or of a library, such as torchvision:resnet18"
    )


def test_unknown_option() -> None:
    with pytest.raises(RszooError) as caught:
        networks.build("cifar_resnet", input_shape=(3, 32, 32), num_classes=10, dept=20)
    assert str(caught.value) == (
        "network 'cifar_resnet' has no options ['dept']; it takes ['depth']"
    )


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        (
            "lenet",
            (1, 28, 15),
            "network 'lenet' expects images of at least 16x16 pixels, got 28x15; "
            "choose 'small_cnn' for smaller ones",
        ),
        (
            "small_cnn",
            (1, 1, 8),
            "network 'small_cnn' expects images of at least 4x4 pixels, got 1x8; "
            "use larger images",
        ),
    ],
)
def test_too_small_images(name: str, shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(RszooError) as caught:
        networks.build(name, input_shape=shape, num_classes=10)
    assert str(caught.value) == message

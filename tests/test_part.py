"""PART and the adversarial training that it reweights: maps, budgets, and the three losses."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from rszoo import methods, networks
from rszoo.errors import RszooError
from rszoo.methods import adversarial, mart, part, trades
from rszoo.methods._attacks import ascend_images_linf
from rszoo.methods._cam import Cam, activation_map, important, important_in_jet

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
EPSILON = 8 / 255
VARIANTS = {"sat": adversarial, "trades": trades, "mart": mart}
BATCH = 6


def linear() -> tuple[nn.Sequential, nn.Conv2d, nn.Linear]:
    """Return a linear network of images of two channels, its two feature maps, and the rest."""
    torch.manual_seed(1)
    features, last = nn.Conv2d(2, 2, 1, bias=False), nn.Linear(32, 3)
    return nn.Sequential(features, nn.Flatten(), last), features, last


def convolutional(channels: int = 3) -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 16, 4),
    )


def batch(channels: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.rand((BATCH, channels, 8, 8), generator=generator)
    return x, torch.arange(BATCH) % 4


def map_by_hand(x: Array, factors: Array, slopes: Array, cam: str) -> Array:
    """The map of one image `[2, h, w]`, from the factors and slopes `[h, w]` of its features."""
    features = np.einsum("kc,chw->khw", factors, x)
    if cam == "layer_cam":
        raw = (np.maximum(slopes, 0) * features).sum(0)
    elif cam == "grad_cam":
        raw = sum(slopes[k].mean() * features[k] for k in range(2))
    else:
        shares = (slopes * features).sum((1, 2)) / features.sum((1, 2))
        raw = sum(shares[k] * features[k] for k in range(2))
    raw = np.maximum(raw, 0)
    return (raw - raw.min()) / (raw.max() - raw.min())


@pytest.mark.parametrize("cam", ["grad_cam", "xgrad_cam", "layer_cam"])
def test_the_map_of_a_linear_network(cam: Cam) -> None:
    (model, first, last), x = linear(), torch.rand(5, 2, 4, 4)
    # Weights of which the sums over the maps are positive, so that no map is 0 everywhere.
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[0.7, 0.1], [0.2, 0.6]]).view(2, 2, 1, 1))
        last.weight.add_(0.1)
    found = activation_map(model, x, cam=cam).double().numpy()
    factors = first.weight.detach().double().numpy()[:, :, 0, 0]
    rows = last.weight.detach().double().numpy().reshape(3, 2, 4, 4)
    for image, label, got in zip(x.double().numpy(), model(x).argmax(1), found, strict=True):
        expected = map_by_hand(image, factors, rows[label], cam)
        assert got == pytest.approx(expected, abs=1e-5)
        assert (got.min(), got.max()) == (0, 1)
        another = map_by_hand(image, factors, rows[(label + 1) % 3], cam)
        assert np.abs(another - got).max() > 1e-3


@pytest.mark.parametrize("variant", VARIANTS)
def test_low_precision_is_for_the_network_alone(variant: Literal["sat", "trades", "mart"]) -> None:
    model, (x, y) = convolutional(), batch()
    exact = activation_map(model, x)
    with torch.autocast("cpu", torch.bfloat16):
        maps = activation_map(model, x)
        value = part.loss(model, x, y, sigma=0.0, progress=1.0, variant=variant)
    assert maps.dtype == value.dtype == torch.float32
    assert (maps - exact).abs().max() < 0.05


def test_a_flat_map_is_zero_and_marks_nothing() -> None:
    model, first, last = linear()
    with torch.no_grad():
        last.weight.fill_(-1.0)
        first.weight.fill_(1.0)
    maps = activation_map(model, torch.rand(3, 2, 4, 4))
    assert not maps.any()
    assert not important(maps, torch.Size((4, 4))).any()


@pytest.mark.parametrize(
    ("name", "size", "shape", "options"),
    [
        ("lenet", 28, (8, 8), {}),
        ("cifar_resnet", 32, (8, 8), {"depth": 8}),
        ("cifar_resnet18", 32, (4, 4), {}),
        ("resnet50", 64, (2, 2), {}),
        ("small_cnn", 8, (3, 3), {}),
    ],
)
def test_the_last_feature_maps_are_found_without_names(
    name: str, size: int, shape: tuple[int, int], options: dict[str, Any]
) -> None:
    model = networks.build(name, input_shape=(1, size, size), num_classes=4, **options)
    maps = activation_map(model, torch.rand(2, 1, size, size))
    assert maps.shape == (2, *shape)
    assert model.training
    assert all(not module._forward_hooks for module in model.modules())


def test_a_network_without_feature_maps_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    with pytest.raises(RszooError, match=r"expected a network with a module that gives feat"):
        activation_map(model, torch.rand(2, 1, 4, 4))
    assert model.training


def test_important_is_more_than_a_standard_deviation_above_the_mean() -> None:
    maps = torch.tensor([[0.0, 0.5, 0.5, 1.0]]).view(1, 2, 2)  # mean 1/2, deviation 0.354
    assert important(maps, torch.Size((2, 2))).tolist() == [[[[False, False], [False, True]]]]


@pytest.mark.parametrize("size", [(4, 4), (32, 32), (28, 20)])
def test_resizing_and_colours_are_those_of_the_released_code(size: tuple[int, int]) -> None:
    maps = torch.rand(20, 4, 4)
    got = important_in_jet(maps, torch.Size(size)).numpy()
    differ = 0
    for one, marked in zip(maps.numpy(), got, strict=True):
        resized = Image.fromarray(one).resize(
            (size[1], size[0]), resample=Image.Resampling.BICUBIC
        )
        coloured = mpl.colormaps["jet"](np.asarray(resized) ** 2)[:, :, :3]
        expected = (coloured - coloured.mean()) / coloured.std() > 1
        differ += (expected.transpose(2, 0, 1) != marked).sum()
    assert differ <= 1e-4 * got.size  # at the edges between two of 256 colours


def test_jet_favours_blue() -> None:
    torch.manual_seed(0)
    maps, size = torch.randn(300, 4, 4).relu(), torch.Size((32, 32))
    maps = maps - maps.amin((1, 2), keepdim=True)
    maps = maps / maps.amax((1, 2), keepdim=True)
    shares = important_in_jet(maps, size).float().mean((0, 2, 3)).tolist()
    assert shares == pytest.approx([0.058, 0.127, 0.389], abs=0.025)
    values = torch.nn.functional.interpolate(maps[:, None], size=size, mode="bicubic")
    plain, blue = important(maps, size), important_in_jet(maps, size)[:, 2:]
    assert values[plain].mean() > values[blue].mean() + 0.1


def test_jet_wants_three_channels() -> None:
    x, _ = batch(1)
    with pytest.raises(RszooError, match=r"images of three channels for colour_map 'jet', got 1"):
        part.budgets(convolutional(1), x, epsilon=0.1, epsilon_low=0.0, colour_map="jet")


@pytest.mark.parametrize("colour_map", ["none", "jet"])
def test_budgets(colour_map: Literal["none", "jet"]) -> None:
    model, (x, _) = convolutional(), batch()
    statistics = {key: value.clone() for key, value in model.state_dict().items()}
    found = part.budgets(model, x, epsilon=0.2, epsilon_low=0.1, colour_map=colour_map)
    assert found.shape == x.shape
    assert set(found.flatten().tolist()) == {*torch.tensor([0.1, 0.2]).tolist()}
    same = (found == found[:, :1]).all()
    assert same == (colour_map == "none")  # jet's budgets are those of a channel
    now = model.state_dict()
    assert all(torch.equal(now[key], value) for key, value in statistics.items())
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("cam", ["grad_cam", "xgrad_cam", "layer_cam"])
def test_permuting_a_batch_permutes_its_maps(cam: Cam) -> None:
    model, (x, _) = convolutional(), batch()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    maps = activation_map(model, x, cam=cam)
    assert torch.allclose(activation_map(model, x[order], cam=cam), maps[order], atol=1e-6)
    budgets = part.budgets(model, x, epsilon=0.2, epsilon_low=0.1, cam=cam)
    permuted = part.budgets(model, x[order], epsilon=0.2, epsilon_low=0.1, cam=cam)
    assert torch.equal(permuted, budgets[order])
    # The control: maps of the same batch in another order, as in the released code, are others.
    assert not torch.equal(permuted, budgets)


def spied(model: nn.Module) -> list[Tensor]:
    """Return a list that takes the images that the network sees while it trains."""
    seen: list[Tensor] = []
    model.register_forward_pre_hook(
        lambda module, given: seen.append(given[0].detach()) if module.training else None
    )
    return seen


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("progress", [0.2, 0.25, 0.26, 1.0])
def test_no_pixel_leaves_its_budget(variant: str, progress: float) -> None:
    model, (x, y) = convolutional(), batch()
    x[0], x[1] = x[0].round(), 0.001 * x[1]
    epsilon, low = torch.tensor([EPSILON, 0.02]).tolist()
    budget = torch.full_like(x, epsilon)
    if progress > 0.25:
        budget = part.budgets(model, x, epsilon=epsilon, epsilon_low=low)
        assert 0 < (budget == epsilon).float().mean() < 0.5
    seen = spied(model)
    weights: dict[str, Any] = {"variant": variant, "epsilon": epsilon, "epsilon_low": low}
    part.loss(model, x, y, sigma=0.0, progress=progress, **weights)
    moved = seen[-1]
    shift = (moved.double() - x.double()).abs()
    assert (shift <= budget.double()).all()
    assert (shift > 0.99 * budget).float().mean() > 0.4  # and goes to the end of it
    assert ((moved >= 0) & (moved <= 1)).all()
    if progress > 0.25:  # the control: without the maps some would leave it
        assert (shift > low).any()


def test_the_box_is_exact_where_adding_is_not() -> None:
    torch.manual_seed(0)
    x, budget = torch.rand(1000, 1, 2, 2), 0.1 * torch.rand(1000, 1, 2, 2)
    assert ((x + budget).double() - x.double() > budget.double()).any()
    for sign in (1, -1):
        moved = ascend_images_linf(
            lambda points, sign=sign: sign * points.sum(),
            x,
            start=x,
            steps=3,
            step_size=0.1,
            budget=budget,
        )
        shift = (moved.double() - x.double()).abs()
        inside = (moved > 0) & (moved < 1)
        assert (shift <= budget.double()).all()
        assert (shift[inside] > budget.double()[inside] - 1e-7).all()


def test_the_attack_of_a_linear_network_goes_to_the_corner() -> None:
    last = nn.Linear(16, 2)
    model = nn.Sequential(nn.Flatten(), last)
    x, y = 0.2 + 0.6 * torch.rand(5, 1, 4, 4), torch.tensor([0, 1, 1, 0, 1])
    seen = spied(model)
    adversarial.loss(model, x, y, sigma=0.0, progress=1.0, epsilon=0.1, step_size=0.05)
    difference = last.weight[1 - y] - last.weight[y]
    assert torch.allclose(seen[-1], x + 0.1 * difference.sign().view_as(x), atol=1e-6)


def value_and_gradients(module: ModuleType, **weights: Any) -> list[Tensor]:
    model, (x, y) = convolutional(), batch()
    torch.manual_seed(4)
    value = module.loss(model, x, y, sigma=0.0, **weights)
    return [value.detach(), *torch.autograd.grad(value, list(model.parameters()))]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("progress", [0.1, 0.7])
def test_equal_budgets_are_plain_adversarial_training_bit_for_bit(
    variant: str, progress: float
) -> None:
    more = {} if variant == "sat" else {"beta": 6.0}
    plain = value_and_gradients(VARIANTS[variant], progress=progress, **more)
    chosen = {"progress": progress, "variant": variant}
    same = value_and_gradients(part, epsilon_low=8 / 255, **chosen)
    assert all(map(torch.equal, plain, same))
    # The control: lower budgets are another training, after the warm-up.
    other = value_and_gradients(part, epsilon_low=1 / 255, **chosen)
    assert all(map(torch.equal, plain, other)) == (progress < 0.25)


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


#: Probabilities, those under attack, labels, beta -> the loss and its gradients in both logits.
ByHand = Callable[[Array, Array, Labels, float], tuple[float, Array, Array]]


def trades_by_hand(p: Array, q: Array, y: Labels, beta: float) -> tuple[float, Array, Array]:
    """The loss of TRADES."""
    one_hot, logs = np.eye(p.shape[1])[y], np.log(p / q)
    kl = (p * logs).sum(1)
    value = (-np.log(p[np.arange(len(y)), y]) + beta * kl).mean()
    clean = p - one_hot + beta * p * (logs - kl[:, None])
    return value, clean / len(y), beta * (q - p) / len(y)


def mart_by_hand(p: Array, q: Array, y: Labels, beta: float) -> tuple[float, Array, Array]:
    """The loss of MART."""
    rows = np.arange(len(y))
    one_hot, logs = np.eye(p.shape[1])[y], np.log(p / q)
    kl, right = (p * logs).sum(1), p[rows, y]
    second = np.where(one_hot == 1, -1, q).argmax(1)
    margin = 1.0001 - q[rows, second]
    value = (-np.log(q[rows, y]) - np.log(margin) + beta * kl * (1 - right)).mean()
    doubt = (1 - right)[:, None]
    clean = beta * (doubt * p * (logs - kl[:, None]) - (kl * right)[:, None] * (one_hot - p))
    pull = (q[rows, second] / margin)[:, None] * (np.eye(p.shape[1])[second] - q)
    attacked = q - one_hot + pull + beta * doubt * (q - p)
    return value, clean / len(y), attacked / len(y)


@pytest.mark.parametrize(
    ("module", "by_hand", "beta"),
    [(trades, trades_by_hand, 6.0), (trades, trades_by_hand, 0.0), (mart, mart_by_hand, 5.0)],
)
def test_values_and_gradients_by_hand(module: ModuleType, by_hand: ByHand, beta: float) -> None:
    last = nn.Linear(12, 4)
    model = nn.Sequential(nn.Flatten(), last)
    nn.init.normal_(last.weight)
    x, y = torch.rand(7, 3, 2, 2), torch.arange(7) % 4
    seen = spied(model)
    value = module.loss(model, x, y, sigma=0.0, progress=1.0, beta=beta, epsilon=0.1)
    value.backward()
    assert len(seen) == 2  # each network pass in train mode is one update of batch statistics
    points = [one.flatten(1).double().numpy() for one in (x, seen[-1])]
    weight, bias = (p.detach().double().numpy() for p in last.parameters())
    p, q = (softmax(one @ weight.T + bias) for one in points)
    expected, clean, attacked = by_hand(p, q, y.numpy(), beta)
    assert value.item() == pytest.approx(expected, rel=1e-5)
    gradient = clean.T @ points[0] + attacked.T @ points[1]
    assert last.weight.grad is not None
    assert last.weight.grad.numpy() == pytest.approx(gradient, abs=1e-5)


@pytest.mark.parametrize("module", [trades, mart])
def test_gradients_are_finite_where_a_network_is_certain(module: ModuleType) -> None:
    model, (x, y) = convolutional(), batch()
    with torch.no_grad():
        [*model.parameters()][-2].mul_(1e4)
    value = module.loss(model, x, y, sigma=0.0, progress=1.0)
    assert all(g.isfinite().all() for g in torch.autograd.grad(value, list(model.parameters())))


def test_the_attack_raises_the_loss_of_the_images() -> None:
    model, (x, y) = convolutional(), batch()
    seen = spied(model)
    adversarial.loss(model, x, y, sigma=0.0, progress=1.0)
    model.eval()
    clean, attacked = (F.cross_entropy(model(one), y).item() for one in (x, seen[-1]))
    assert attacked > clean + 0.05


@pytest.mark.parametrize("name", ["adversarial", "mart", "part", "trades"])
def test_they_train_without_noise_and_take_no_router(name: str) -> None:
    assert methods.trains(name) == "standard"
    assert not methods.per_image_sigma(name)
    assert methods.needs(name) == ()

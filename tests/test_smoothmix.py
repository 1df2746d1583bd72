"""SmoothMix against its formula, written again in NumPy; its attack, its mask and its warm-up."""

from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rszoo.errors import RecipeError
from rszoo.methods import gaussian, smoothmix
from rszoo.training.recipes.files import load_recipe

Array = NDArray[np.float64]
M, BATCH, CLASSES, SHAPE = 3, 6, 4, (3, 2, 2)
PIXELS = 12


def linear() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, CLASSES))


def batch() -> tuple[Tensor, Tensor]:
    return torch.rand(BATCH, *SHAPE), torch.tensor([1, 0, 0, 2, 3, 1])


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Fix the noise of the loss."""
    fixed = 0.3 * torch.randn(M, BATCH, *SHAPE)
    monkeypatch.setattr(smoothmix, "gaussian_copies", lambda x, m, sigma: fixed[:m])
    return fixed


def with_shares(shares: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fix u: it is half of what is drawn uniformly from [0, 1)."""
    fixed = 2 * torch.tensor(shares)

    def rand(*size: int, **_: object) -> Tensor:
        assert size == (len(fixed),)
        return fixed

    monkeypatch.setattr(torch, "rand", rand)


SHARES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.49]


def doubled(model: nn.Module) -> tuple[Array, Array]:
    weight, bias = (p.detach().double().numpy() for p in model.parameters())
    return weight, bias


def flat(t: Tensor, start: int) -> Array:
    return t.flatten(start).double().numpy()


def softmax(z: Array) -> Array:
    return np.exp(z) / np.exp(z).sum(-1, keepdims=True)


def attacked(
    weight: Array, bias: Array, x: Array, label: int, noise: Array, steps: int, step_size: float
) -> Array:
    """The attack on one image of a linear network; noise is [m, pixels]."""
    for _ in range(steps):
        f = softmax((x + noise) @ weight.T + bias)
        gradient = -(f[:, label, None] * (weight[label] - f @ weight)).mean(0) / f[:, label].mean()
        x = np.clip(x + step_size * gradient / np.linalg.norm(gradient), 0.0, 1.0)
    return x


def ends(
    weight: Array,
    bias: Array,
    x: Array,
    y: Array,
    noise: Array,
    *,
    attack_steps: int,
    step_size: float,
    mix_step: int,
    warm: float,
) -> tuple[Array, Array]:
    """Return x0 and a of every image."""
    near, far = np.empty_like(x), np.empty_like(x)
    for b, image in enumerate(x):
        walk = weight, bias, image, y[b], noise[:, b]
        first = min(mix_step, attack_steps)
        far[b] = attacked(*walk, attack_steps, step_size)
        shift = attacked(*walk, first, step_size) - image
        longest = warm * step_size * first
        if np.linalg.norm(shift) > longest:
            shift *= longest / np.linalg.norm(shift)
        near[b] = np.clip(image + shift, 0.0, 1.0)
    return near, far


def formula(
    weight: Array,
    bias: Array,
    points: tuple[Array, Array],
    y: Array,
    noise: Array,
    *,
    eta: float,
    warm: float,
    counted: list[bool] | None = None,
) -> float:
    total = 0.0
    near, far = points
    for b, u in enumerate(SHARES):
        f = softmax((near[b] + noise[:, b]) @ weight.T + bias)
        total -= np.log(f[:, y[b]]).mean()
        p = f.mean(0)
        if counted is not None:
            counted.append(bool(p.argmax() == y[b]))
        if p.argmax() == y[b]:
            target = (1 - u) * p + u / CLASSES
            mixed = softmax(((1 - u) * near[b] + u * far[b] + noise[:, b]) @ weight.T + bias)
            total += eta * warm * np.sum(target * np.log(target / mixed), -1).mean()
    return total / len(y)


@pytest.mark.parametrize("mix_step", [0, 1])
@pytest.mark.parametrize(
    ("attack_steps", "step_size", "eta", "progress", "warm"),
    [
        (4, 1.0, 5.0, 1.0, 1.0),
        (3, 0.2, 2.0, 0.05, 0.5),
        (1, 0.3, 5.0, 0.1, 1.0),
        (0, 0.5, 3.0, 1.0, 1.0),
        (2, 0.5, 0.0, 1.0, 1.0),
    ],
)
def test_the_loss_is_the_formula(
    noise: Tensor,
    mix_step: int,
    attack_steps: int,
    step_size: float,
    eta: float,
    progress: float,
    warm: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, (x, y) = linear(), batch()
    with_shares(SHARES, monkeypatch)
    walk: dict[str, Any] = {
        "attack_steps": attack_steps,
        "step_size": step_size,
        "mix_step": mix_step,
    }
    loss = smoothmix.loss(model, x, y, sigma=0.3, progress=progress, m=M, eta=eta, **walk)
    weight, bias = doubled(model)
    pixels, copies, labels = flat(x, 1), flat(noise, 2), y.numpy()
    points = ends(weight, bias, pixels, labels, copies, warm=warm, **walk)
    counted: list[bool] = []
    expected = formula(weight, bias, points, labels, copies, eta=eta, warm=warm, counted=counted)
    if mix_step == 0:
        assert 0 < sum(counted) < BATCH
        assert np.array_equal(points[0], pixels)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mix_step", [0, 1])
def test_the_gradient_is_that_of_the_formula_with_the_target_not_detached(
    noise: Tensor, mix_step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, (x, _) = linear(), batch()
    with torch.no_grad():
        next(model.parameters()).mul_(4)
    y = model((x + noise).flatten(0, 1)).softmax(-1).unflatten(0, (M, BATCH)).mean(0).argmax(1)
    y[0] = (y[0] + 1) % CLASSES
    with_shares(SHARES, monkeypatch)
    walk: dict[str, Any] = {"attack_steps": 3, "step_size": 0.4, "mix_step": mix_step}
    smoothmix.loss(model, x, y, sigma=0.3, progress=1.0, m=M, eta=5.0, **walk).backward()
    weight, bias = doubled(model)
    copies, labels = flat(noise, 2), y.numpy()
    points = ends(weight, bias, flat(x, 1), labels, copies, warm=1.0, **walk)
    numeric, step = np.zeros_like(weight), 1e-6
    for entry in np.ndindex(*weight.shape):
        values = []
        for sign in (1, -1):
            moved = weight.copy()
            moved[entry] += sign * step
            values.append(formula(moved, bias, points, labels, copies, eta=5.0, warm=1.0))
        numeric[entry] = (values[0] - values[1]) / (2 * step)
    assert np.abs(numeric).max() > 0.1
    first = next(model.parameters())
    assert first.grad is not None
    assert np.allclose(first.grad, numeric, atol=1e-5, rtol=1e-4)


def test_u_is_uniform_up_to_one_half(monkeypatch: pytest.MonkeyPatch) -> None:
    # x is 0, a is 1, so that the mixed images are u themselves.
    images = 4000
    monkeypatch.setattr(smoothmix, "gaussian_copies", lambda x, m, sigma: torch.zeros(m, *x.shape))
    seen = []

    class Rising(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.detach().flatten())
            return torch.cat([-x.flatten(1), x.flatten(1)], 1)

    x, y = torch.zeros(images, 1, 1, 1), torch.zeros(images, dtype=torch.long)
    smoothmix.loss(Rising(), x, y, sigma=1.0, progress=1.0, m=1, attack_steps=1, step_size=3.0)
    u = seen[-1].sort().values
    # Kolmogorov and Smirnov: the distance exceeds 2.2 / sqrt(n) less than once in 8000 times.
    even = torch.linspace(0, 0.5, images)
    assert (2 * (u - even)).abs().max().item() < 2.2 / images**0.5
    assert len(u.unique()) > 0.99 * images


def test_without_mixing_it_is_the_mean_cross_entropy_of_the_copies() -> None:
    model, (x, y) = linear(), batch()
    torch.manual_seed(3)
    loss = smoothmix.loss(model, x, y, sigma=0.5, progress=1.0, m=M, eta=0.0)
    torch.manual_seed(3)
    repeated = gaussian.loss(model, x.repeat(M, 1, 1, 1), y.repeat(M), sigma=0.5, progress=1.0)
    assert loss.item() == pytest.approx(repeated.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("progress", "warmup", "warm"),
    [(0.02, 0.1, 0.2), (0.05, 0.1, 0.5), (0.1, 0.1, 1.0), (1.0, 0.1, 1.0), (0.01, 0.0, 1.0)],
)
@pytest.mark.usefixtures("noise")
def test_the_weight_rises_linearly_during_the_warm_up(
    progress: float, warmup: float, warm: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, (x, y) = linear(), batch()
    with_shares(SHARES, monkeypatch)

    def value(eta: float, progress: float, warmup: float) -> float:
        weights: dict[str, Any] = {"m": M, "eta": eta, "warmup": warmup}
        return smoothmix.loss(model, x, y, sigma=0.3, progress=progress, **weights).item()

    plain, whole = value(0.0, 1.0, 0.0), value(100.0, 1.0, 0.0)
    share = (value(100.0, progress, warmup) - plain) / (whole - plain)
    assert whole - plain > 0.05
    assert share == pytest.approx(warm, rel=1e-3)


@pytest.mark.usefixtures("noise")
def test_images_that_are_wrong_are_not_mixed() -> None:
    model, (x, _) = linear(), batch()
    with torch.no_grad():
        list(model.parameters())[1].copy_(torch.tensor([-9.0, 0.0, 0.0, 0.0]))  # never class 0
    values = []
    for eta in (0.0, 100.0):
        y = torch.zeros(BATCH, dtype=torch.long)
        loss = smoothmix.loss(model, x, y, sigma=0.3, progress=1.0, m=M, eta=eta)
        values.append(loss.item())
    assert values[0] == values[1]


def test_the_mask_is_of_the_mean_prediction_not_of_the_copies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Two of three copies are wrong, but the third is surer: P = (.497, .503) or its mirror.
    copies = torch.tensor([[[-1.0, 0.0]], [[-1.0, 0.0]], [[6.0, 0.0]]])[..., None, None]
    f = copies[:, 0, :, 0, 0].softmax(-1).mean(0)
    assert f[0] > 0.5
    monkeypatch.setattr(smoothmix, "gaussian_copies", lambda x, m, sigma: copies)
    with_shares([0.25], monkeypatch)

    class Pixels(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :, 0, 0]

    x = torch.zeros(1, 2, 1, 1)
    for label, mixed in ((0, True), (1, False)):
        values = [
            smoothmix.loss(
                Pixels(), x, torch.tensor([label]), sigma=1.0, progress=1.0, m=3, eta=eta
            ).item()
            for eta in (0.0, 1.0)
        ]
        assert (values[0] != values[1]) is mixed


@pytest.mark.parametrize("u", [0.0, 1e-6, 0.49])
def test_a_softmax_that_underflows_is_finite(u: float, monkeypatch: pytest.MonkeyPatch) -> None:
    class Sure(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(1.0))

        def forward(self, x: Tensor) -> Tensor:
            return 400 * x[:, :, 0, 0] * self.scale

    monkeypatch.setattr(smoothmix, "gaussian_copies", lambda x, m, sigma: torch.zeros(m, *x.shape))
    with_shares([u, u], monkeypatch)
    model = Sure()
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[:, :, None, None]
    loss = smoothmix.loss(
        model, x, torch.tensor([0, 0]), sigma=1.0, progress=1.0, m=2, attack_steps=0, eta=2.0
    )
    loss.backward()
    # The second image is wrong by 400. The first is right, and mixed with itself: by hand
    # KL((1 - u/2, u/2) || (1, e^-400)) = -H(u/2) + 400 u/2.
    share = u / 2
    entropy = -(1 - share) * np.log(1 - share) - (share * np.log(share) if share else 0.0)
    assert loss.item() == pytest.approx((400 + 2 * (400 * share - entropy)) / 2, rel=1e-5)
    assert model.scale.grad is not None
    assert model.scale.grad.item() == pytest.approx((400 + 2 * 400 * share) / 2, rel=1e-5)


class Watched(nn.Module):
    """Records, for each forward, its points, the mode and whether parameters are trainable."""

    def __init__(self) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm1d(PIXELS)
        self.inner = linear()
        self.calls: list[tuple[bool, bool]] = []
        self.points: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append((self.training, all(p.requires_grad for p in self.parameters())))
        self.points.append(x.detach().clone())
        return self.inner(self.normalise(x.flatten(1)))

    @property
    def batches_in_statistics(self) -> int:
        assert self.normalise.num_batches_tracked is not None
        return int(self.normalise.num_batches_tracked)


@pytest.mark.parametrize("mix_step", [0, 1])
@pytest.mark.parametrize("attack_steps", [0, 1, 4])
def test_the_attack_runs_in_eval_mode_with_frozen_parameters(
    attack_steps: int, mix_step: Literal[0, 1]
) -> None:
    model, (x, y) = Watched(), batch()
    loss = smoothmix.loss(
        model, x, y, sigma=0.5, progress=1.0, attack_steps=attack_steps, mix_step=mix_step
    )
    assert model.calls == [(False, False)] * attack_steps + [(True, True)] * 2
    assert model.batches_in_statistics == 2
    assert all(p.grad is None for p in model.parameters())
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("mix_step", [0, 1])
def test_the_attack_stays_in_the_unit_cube(
    mix_step: Literal[0, 1], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoothmix, "gaussian_copies", lambda x, m, sigma: torch.zeros(m, *x.shape))
    model, (x, y) = Watched(), batch()
    smoothmix.loss(
        model,
        x,
        y,
        sigma=0.5,
        progress=1.0,
        m=1,
        attack_steps=6,
        step_size=2.0,
        mix_step=mix_step,
    )
    assert len(model.points) == 8
    for points in model.points:
        assert points.min() >= 0
        assert points.max() <= 1
    assert torch.equal(model.points[0], x)
    assert (model.points[5] == 0).any()
    assert (model.points[5] == 1).any()
    assert torch.equal(model.points[6], x) is (mix_step == 0)


def test_the_start_of_the_line_lies_before_its_end() -> None:
    overrides = ["weights.mix_step=1", "weights.attack_steps=1"]
    with pytest.raises(RecipeError) as caught:
        load_recipe("smoothmix").resolve(sigma=0.5, overrides=overrides)
    assert caught.value.problems == ["weights: expected mix_step < attack_steps, got 1 and 1"]

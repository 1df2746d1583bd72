"""CAT-RS against its formula, written again in NumPy; its two terms, its draws and its attack."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rszoo.methods import cat_rs, gaussian

Array = NDArray[np.float64]
M, BATCH, CLASSES, SHAPE = 4, 6, 3, (3, 2, 2)
PIXELS = 12
K = [1.0, 2.0, 4.0, 4.0, 3.0, 4.0]


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Fix the noise of the loss."""
    fixed = 0.5 * torch.randn(M, BATCH, *SHAPE)
    monkeypatch.setattr(cat_rs, "gaussian_copies", lambda x, m, sigma: fixed)
    return fixed


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor]]:
    """Fix K to the values above, and record what it would have been drawn from."""
    asked = []

    def binomial(count: Tensor, probability: Tensor) -> Tensor:
        asked.append((count, probability))
        return torch.tensor(K)

    monkeypatch.setattr(torch, "binomial", binomial)
    return asked


def linear() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, CLASSES))


def batch() -> tuple[Tensor, Tensor, Tensor]:
    soft = (3 * torch.randn(BATCH, CLASSES)).softmax(-1)
    return torch.rand(BATCH, *SHAPE), torch.arange(BATCH) % CLASSES, soft


def doubled(model: nn.Module) -> tuple[Array, Array]:
    weight, bias = (p.detach().double().numpy() for p in model.parameters())
    return weight, bias


def log_softmax(z: Array) -> Array:
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def divergence(weight: Array, bias: Array, pixels: Array, soft: Array) -> Array:
    """KL(yhat || F) of rows of pixels."""
    return np.sum(soft * (np.log(soft) - log_softmax(pixels @ weight.T + bias)), -1)


def worst_noise(
    weight: Array, bias: Array, x: Array, noise: Array, soft: Array, steps: int, rho: float
) -> Array:
    """The attack on a linear network, where the gradient is W^T (F - yhat); [m, B, pixels]."""
    worst = np.empty_like(noise)
    for index in np.ndindex(noise.shape[:2]):
        original, image, target = noise[index], x[index[1]], soft[index[1]]
        moved = original.copy()
        for _ in range(steps):
            f = np.exp(log_softmax((image + moved) @ weight.T + bias))
            gradient = (f - target) @ weight
            shift = moved + 2 * rho / steps * gradient / np.linalg.norm(gradient) - original
            shift *= min(1.0, rho / np.linalg.norm(shift))
            moved = original + shift
            size = np.sqrt(np.mean(original**2) / np.mean(moved**2))
            moved = original.mean() + size * (moved - moved.mean())
        worst[index] = moved
    return worst


def formula(
    weight: Array,
    bias: Array,
    x: Array,
    y: Array,
    noise: Array,
    worst: Array,
    soft: Array,
    *,
    lambda_: float,
) -> float:
    """Equations 8 to 11 with K as above."""
    total = 0.0
    for b in range(BATCH):
        errors = -log_softmax((x[b] + noise[:, b]) @ weight.T + bias)[:, y[b]]
        total += np.sort(errors)[: int(K[b])].sum() / M
        if K[b] == M:
            total += lambda_ * divergence(weight, bias, x[b] + worst[:, b], soft[b]).max()
    return total / BATCH


def flat(t: Tensor, start: int) -> Array:
    return t.flatten(start).double().numpy()


@pytest.mark.parametrize(
    ("lambda_", "attack_steps", "rho"),
    [(1.0, 4, 1.0), (2.5, 1, 0.3), (0.5, 6, 2.0), (1.0, 0, 1.0), (0.0, 4, 1.0)],
)
@pytest.mark.usefixtures("drawn")
def test_the_loss_is_the_formula(
    noise: Tensor, lambda_: float, attack_steps: int, rho: float
) -> None:
    model, (x, y, soft) = linear(), batch()
    loss = cat_rs.loss(
        model,
        x,
        y,
        soft,
        sigma=0.5,
        progress=1.0,
        lambda_=lambda_,
        attack_steps=attack_steps,
        rho=rho,
    )
    weight, bias = doubled(model)
    arrays = flat(x, 1), flat(noise, 2), flat(soft, 1)
    worst = worst_noise(weight, bias, *arrays, attack_steps, rho)
    expected = formula(
        weight, bias, arrays[0], y.numpy(), arrays[1], worst, arrays[2], lambda_=lambda_
    )
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("drawn")
def test_the_gradient_is_that_of_the_formula_at_the_worst_noise(noise: Tensor) -> None:
    model, (x, y, soft) = linear(), batch()
    cat_rs.loss(model, x, y, soft, sigma=0.5, progress=1.0, lambda_=2.0).backward()
    weight, bias = doubled(model)
    arrays = flat(x, 1), flat(noise, 2), flat(soft, 1)
    worst = worst_noise(weight, bias, *arrays, 4, 1.0)
    numeric, step = np.zeros_like(weight), 1e-6
    for entry in np.ndindex(*weight.shape):
        up, down = weight.copy(), weight.copy()
        up[entry] += step
        down[entry] -= step
        values = [
            formula(moved, bias, arrays[0], y.numpy(), arrays[1], worst, arrays[2], lambda_=2.0)
            for moved in (up, down)
        ]
        numeric[entry] = (values[0] - values[1]) / (2 * step)
    assert np.abs(numeric).max() > 0.05
    assert np.allclose(model[1].weight.grad, numeric, atol=1e-5, rtol=1e-4)


def test_k_is_drawn_from_the_share_of_copies_that_are_right(
    noise: Tensor, drawn: list[tuple[Tensor, Tensor]]
) -> None:
    model, (x, y, soft) = linear(), batch()
    cat_rs.loss(model, x, y, soft, sigma=0.5, progress=1.0)
    weight, bias = doubled(model)
    right = ((flat(x, 1) + flat(noise, 2)) @ weight.T + bias).argmax(-1) == y.numpy()
    ((count, probability),) = drawn
    assert count.tolist() == [M] * BATCH
    assert probability.tolist() == right.mean(0).tolist()
    assert len(set(probability.tolist())) > 2


@pytest.mark.usefixtures("noise")
def test_the_confidence_mask_takes_the_soft_target_of_the_label(
    drawn: list[tuple[Tensor, Tensor]],
) -> None:
    model, (x, y, soft) = linear(), batch()
    cat_rs.loss(model, x, y, soft, sigma=0.5, progress=1.0, confidence_mask=True)
    ((count, probability),) = drawn
    assert count.tolist() == [M] * BATCH
    assert probability.tolist() == [soft[b, y[b]].item() for b in range(BATCH)]


class Constant(nn.Module):
    """The same logits for everything: all copies are right, or none."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1) + 0 * x.flatten(1).sum(1, keepdim=True)


def test_the_robust_term_is_for_images_that_all_m_draws_chose() -> None:
    # At m = 4 an image with phat = 3/4 gets it with probability (3/4)^4 = .316.
    images = 20_000
    x, y = torch.rand(images, 1, 1, 1), torch.zeros(images, dtype=torch.long)
    soft = torch.tensor([0.75, 0.25]).expand(images, 2)
    model = Constant([0.0, 0.0])
    weights = {"m": 4, "attack_steps": 0, "confidence_mask": True}
    values = []
    for lambda_ in (0.0, 1.0):
        torch.manual_seed(1)
        loss = cat_rs.loss(model, x, y, soft, sigma=1.0, progress=1.0, lambda_=lambda_, **weights)
        values.append(loss.item())
    kl = np.log(2) + 0.75 * np.log(0.75) + 0.25 * np.log(0.25)
    share = (values[1] - values[0]) / kl
    assert share == pytest.approx(0.75**4, abs=4 * (0.316 * 0.684 / images) ** 0.5)
    # L_low is (K / m) log 2 here, and max(1, Bin(4, 3/4)) has the mean 3 + (1/4)^4.
    assert values[0] / np.log(2) == pytest.approx((3 + 0.25**4) / 4, abs=0.01)


def test_an_image_that_is_always_wrong_learns_from_its_easiest_copy_alone(noise: Tensor) -> None:
    x, _, soft = batch()
    y = torch.zeros(BATCH, dtype=torch.long)
    model = linear()
    with torch.no_grad():
        model[1].bias.copy_(torch.tensor([-50.0, 0.0, 0.0]))  # never class 0
    loss = cat_rs.loss(model, x, y, soft, sigma=0.5, progress=1.0, lambda_=100.0)
    weight, bias = doubled(model)
    errors = -log_softmax((flat(x, 1) + flat(noise, 2)) @ weight.T + bias)[..., 0]
    assert loss.item() == pytest.approx(errors.min(0).mean() / M, rel=1e-6)


def test_without_the_robust_term_and_all_copies_right_it_is_their_cross_entropy() -> None:
    model, (x, _, soft) = linear(), batch()
    y = torch.zeros(BATCH, dtype=torch.long)
    with torch.no_grad():
        model[1].bias.copy_(torch.tensor([3.0, 0.0, 0.0]))
        model[1].weight.mul_(0.2)
    torch.manual_seed(2)
    loss = cat_rs.loss(model, x, y, soft, sigma=0.25, progress=1.0, m=M, lambda_=0.0)
    torch.manual_seed(2)
    copies = x.repeat(M, 1, 1, 1)
    repeated = gaussian.loss(model, copies, y.repeat(M), sigma=0.25, progress=1.0)
    assert loss.item() == pytest.approx(repeated.item(), rel=1e-6)


def test_soft_targets_of_zero_and_logits_that_underflow_are_finite() -> None:
    class Given(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(1.0))

        def forward(self, x: Tensor) -> Tensor:
            return 200 * x[:, :, 0, 0] * self.scale

    x = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])[:, :, None, None]
    for answer in ([1.0, 0.0], [0.0, 1.0], [0.5, 0.5]):
        model = Given()
        soft = torch.tensor([answer, answer])
        loss = cat_rs.loss(model, x, torch.tensor([0, 1]), soft, sigma=0.1, progress=1.0)
        loss.backward()
        assert torch.isfinite(loss)
        assert model.scale.grad is not None
        assert torch.isfinite(model.scale.grad)
    assert loss.item() > 50  # certain answers against a target of one half


class Watched(nn.Module):
    """Records, for each forward, the mode and whether parameters are trainable."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(PIXELS), linear())
        self.calls: list[tuple[bool, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append((self.training, all(p.requires_grad for p in self.parameters())))
        return self.inner(x)

    @property
    def batches_in_statistics(self) -> int:
        return int(self.inner[1].num_batches_tracked)


@pytest.mark.parametrize("attack_steps", [0, 1, 4])
def test_the_attack_runs_in_eval_mode_with_frozen_parameters(attack_steps: int) -> None:
    model, (x, y, soft) = Watched(), batch()
    loss = cat_rs.loss(model, x, y, soft, sigma=0.5, progress=1.0, attack_steps=attack_steps)
    assert model.calls == [(True, True)] + [(False, False)] * attack_steps + [(True, True)]
    assert model.batches_in_statistics == 2
    assert all(p.grad is None for p in model.parameters())
    loss.backward()


def test_without_the_robust_term_there_is_no_attack() -> None:
    model, (x, y, soft) = Watched(), batch()
    cat_rs.loss(model, x, y, soft, sigma=0.5, progress=1.0, lambda_=0.0)
    assert model.calls == [(True, True)]
    assert model.batches_in_statistics == 1

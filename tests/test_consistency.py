"""Consistency regularisation against the formula, written again in NumPy, and at its extremes."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rszoo.methods import consistency, gaussian

Array = NDArray[np.float64]
BATCH, CLASSES, PIXELS = 5, 4, 12


def formula(logits: Array, y: Array, lambda_: float, eta: float) -> float:
    """The paper's equations 6 and 7 for logits [m, B, classes], in the plain domain."""
    f = np.exp(logits - logits.max(-1, keepdims=True))
    f /= f.sum(-1, keepdims=True)
    mean = f.mean(0)
    total = 0.0
    for b in range(len(y)):
        for copy in f[:, b]:
            total -= np.log(copy[y[b]]) / len(f)
            total += lambda_ * np.sum(mean[b] * np.log(mean[b] / copy)) / len(f)
        total -= eta * np.sum(mean[b] * np.log(mean[b]))
    return total / len(y)


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Fix the noise of the loss: [m = 3, BATCH, ...]."""
    fixed = 0.5 * torch.randn(3, BATCH, 3, 2, 2)
    monkeypatch.setattr(consistency, "gaussian_copies", lambda x, m, sigma: fixed[:m])
    return fixed


def linear() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, CLASSES))


def logits(model: nn.Module, x: Tensor, noise: Tensor) -> Array:
    weight, bias = (p.detach().double().numpy() for p in model.parameters())
    return (x + noise).flatten(2).double().numpy() @ weight.T + bias


@pytest.mark.parametrize(("lambda_", "eta"), [(10.0, 0.5), (0.0, 0.7), (3.0, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_loss_is_the_formula(noise: Tensor, m: int, lambda_: float, eta: float) -> None:
    model, x, y = linear(), torch.rand(BATCH, 3, 2, 2), torch.tensor([0, 3, 1, 1, 2])
    loss = consistency.loss(model, x, y, sigma=0.5, progress=1.0, m=m, lambda_=lambda_, eta=eta)
    expected = formula(logits(model, x, noise[:m]), y.numpy(), lambda_, eta)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_gradient_is_that_of_the_formula(noise: Tensor) -> None:
    # Fbar is not detached: a gradient that held it fixed would differ by tenths here.
    model, x, y = linear(), torch.rand(BATCH, 3, 2, 2), torch.tensor([0, 3, 1, 1, 2])
    consistency.loss(model, x, y, sigma=0.5, progress=1.0, m=3, lambda_=4.0, eta=0.5).backward()
    weight, bias = (p.detach().double().numpy() for p in model.parameters())
    pixels = (x + noise).flatten(2).double().numpy()
    numeric, step = np.zeros_like(weight), 1e-6
    for entry in np.ndindex(*weight.shape):
        values = []
        for sign in (1, -1):
            moved = weight.copy()
            moved[entry] += sign * step
            values.append(formula(pixels @ moved.T + bias, y.numpy(), 4.0, 0.5))
        numeric[entry] = (values[0] - values[1]) / (2 * step)
    assert np.abs(numeric).max() > 0.1
    assert np.allclose(model[1].weight.grad, numeric, atol=1e-5, rtol=1e-4)


class Given(nn.Module):
    """Logits that are the (noisy) pixels times a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, 0, 0] * self.scale


def loss_of(
    copies: list[list[float]], y: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[float, float]:
    """Return the loss (lambda 2, eta 3) of one image's logits, and its gradient in their scale."""
    fixed = torch.tensor(copies)[:, None, :, None, None]
    monkeypatch.setattr(consistency, "gaussian_copies", lambda x, m, sigma: fixed)
    model = Given()
    x = torch.zeros(1, len(copies[0]), 1, 1)
    loss = consistency.loss(
        model,
        x,
        torch.tensor([y]),
        sigma=1.0,
        progress=1.0,
        m=len(copies),
        lambda_=2.0,
        eta=3.0,
    )
    loss.backward()
    assert model.scale.grad is not None
    return loss.item(), model.scale.grad.item()


def test_opposite_certainties_that_underflow(monkeypatch: pytest.MonkeyPatch) -> None:
    # exp(-400) is 0 in float32. Fbar = (1/2, 1/2), so by hand:
    # CE = 400 / 2, each KL = -log 2 + 400 / 2, H = log 2; the logits' scale s multiplies the 400.
    loss, gradient = loss_of([[200.0, -200.0], [-200.0, 200.0]], 0, monkeypatch)
    assert loss == pytest.approx(200 + 2 * (200 - math.log(2)) + 3 * math.log(2), rel=1e-6)
    assert gradient == pytest.approx(200 + 2 * 200, rel=1e-6)


def test_agreeing_certainties_that_underflow(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, gradient = loss_of([[200.0, -200.0], [200.0, -200.0]], 1, monkeypatch)
    assert loss == pytest.approx(400, rel=1e-6)
    assert gradient == pytest.approx(400, rel=1e-6)


def test_copies_that_agree_have_no_divergence(monkeypatch: pytest.MonkeyPatch) -> None:
    z = np.array([1.0, 2.0, -0.5])
    loss, _ = loss_of([z.tolist()] * 4, 2, monkeypatch)
    f = np.exp(z) / np.exp(z).sum()
    assert loss == pytest.approx(-np.log(f[2]) - 3 * np.sum(f * np.log(f)), rel=1e-5)


def test_without_its_terms_it_is_the_mean_cross_entropy_of_the_copies() -> None:
    model, x, y = linear(), torch.rand(BATCH, 3, 2, 2), torch.tensor([0, 3, 1, 1, 2])
    torch.manual_seed(3)
    alone = consistency.loss(model, x, y, sigma=0.5, progress=1.0, m=3, lambda_=0.0, eta=0.0)
    torch.manual_seed(3)
    repeated = gaussian.loss(model, x.repeat(3, 1, 1, 1), y.repeat(3), sigma=0.5, progress=1.0)
    assert alone.item() == pytest.approx(repeated.item(), rel=1e-6)


def test_one_copy_without_its_terms_is_gaussian() -> None:
    model, x, y = linear(), torch.rand(BATCH, 3, 2, 2), torch.tensor([0, 3, 1, 1, 2])
    torch.manual_seed(4)
    one = consistency.loss(model, x, y, sigma=0.5, progress=1.0, m=1, lambda_=0.0, eta=0.0)
    torch.manual_seed(4)
    assert one.item() == gaussian.loss(model, x, y, sigma=0.5, progress=1.0).item()


def test_one_copy_has_no_divergence() -> None:
    model, x, y = linear(), torch.rand(BATCH, 3, 2, 2), torch.tensor([0, 3, 1, 1, 2])
    values = []
    for lambda_ in (0.0, 50.0):
        torch.manual_seed(4)
        loss = consistency.loss(
            model, x, y, sigma=0.5, progress=1.0, m=1, lambda_=lambda_, eta=0.5
        )
        values.append(loss.item())
    assert values[1] == pytest.approx(values[0], abs=1e-5)

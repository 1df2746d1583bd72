"""Stability training against its formula, written again in NumPy; its two forward passes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from rszoo.methods import stability

Array = NDArray[np.float64]
BATCH, CLASSES, SHAPE, PIXELS = 5, 4, (3, 2, 2), 12
SIGMA = 0.5


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Fix the noise of the loss: one copy."""
    fixed = SIGMA * torch.randn(1, BATCH, *SHAPE)

    def copies(x: Tensor, m: int, sigma: float) -> Tensor:
        assert (m, sigma) == (1, SIGMA)
        return fixed

    monkeypatch.setattr(stability, "gaussian_copies", copies)
    return fixed


class Linear(nn.Linear):
    """A linear network for images, with logits that are not all alike."""

    def __init__(self, scale: float = 3.0) -> None:
        super().__init__(PIXELS, CLASSES)
        with torch.no_grad():
            self.weight.mul_(scale)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flatten(1))


def batch() -> tuple[Tensor, Tensor]:
    return torch.rand(BATCH, *SHAPE), torch.tensor([0, 3, 1, 1, 2])


def softmax(z: Array) -> Array:
    f = np.exp(z - z.max())
    return f / f.sum()


def formula(
    weight: Array, bias: Array, x: Array, noisy: Array, y: Array, *, lambda_: float
) -> float:
    """CE(F(x), y) + lambda H(F(x), F(x + e)) for rows of pixels, in the plain domain."""
    total = 0.0
    for image, moved, label in zip(x, noisy, y, strict=True):
        p, q = softmax(weight @ image + bias), softmax(weight @ moved + bias)
        total += -np.log(p[label]) - lambda_ * np.sum(p * np.log(q))
    return float(total) / len(y)


def arrays(model: nn.Module, x: Tensor, noise: Tensor, y: Tensor) -> tuple[Array, ...]:
    weight, bias = (p.detach().double().numpy() for p in model.parameters())
    clean, noisy = (t.flatten(1).double().numpy() for t in (x, x + noise[0]))
    return weight, bias, clean, noisy, y.numpy()


@pytest.mark.parametrize("lambda_", [0.0, 0.3, 2.0, 20.0])
def test_the_loss_is_the_formula(noise: Tensor, lambda_: float) -> None:
    model, (x, y) = Linear(), batch()
    loss = stability.loss(model, x, y, sigma=SIGMA, progress=1.0, lambda_=lambda_)
    expected = formula(*arrays(model, x, noise, y), lambda_=lambda_)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_weight_is_2_unless_told(noise: Tensor) -> None:
    model, (x, y) = Linear(), batch()
    loss = stability.loss(model, x, y, sigma=SIGMA, progress=1.0)
    assert loss.item() == pytest.approx(formula(*arrays(model, x, noise, y), lambda_=2.0))


def test_the_gradient_is_that_of_the_formula(noise: Tensor) -> None:
    # Neither side is detached: with the target held fixed it would differ by tenths here.
    model, (x, y) = Linear(), batch()
    stability.loss(model, x, y, sigma=SIGMA, progress=1.0, lambda_=4.0).backward()
    weight, *others = arrays(model, x, noise, y)
    numeric, step = np.zeros_like(weight), 1e-6
    for entry in np.ndindex(*weight.shape):
        up, down = weight.copy(), weight.copy()
        up[entry] += step
        down[entry] -= step
        values = [formula(moved, *others, lambda_=4.0) for moved in (up, down)]
        numeric[entry] = (values[0] - values[1]) / (2 * step)
    assert np.abs(numeric).max() > 0.1
    assert model.weight.grad is not None
    assert np.allclose(model.weight.grad.numpy(), numeric, atol=1e-5, rtol=1e-4)


def test_without_its_term_it_is_the_cross_entropy_of_clean_images() -> None:
    model, (x, y) = Linear(), batch()
    loss = stability.loss(model, x, y, sigma=10.0, progress=1.0, lambda_=0.0)
    loss.backward()
    clean = F.cross_entropy(model(x), y)
    (gradient,) = torch.autograd.grad(clean, model.weight)
    assert model.weight.grad is not None
    assert loss.item() == pytest.approx(clean.item(), rel=1e-6)
    assert torch.allclose(model.weight.grad, gradient, atol=1e-6)


def test_the_clean_prediction_is_the_target_and_not_the_other_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # F(x) = (e, 1) / (e + 1) and F(x + e) = (1, e^4) / (1 + e^4), so by hand:
    # -log F(x + e) = (log(1 + e^-4) + 4, log(1 + e^-4)).
    model = nn.Flatten()
    noise = torch.tensor([-1.0, 4.0]).view(1, 1, 2, 1, 1)
    monkeypatch.setattr(stability, "gaussian_copies", lambda x, m, sigma: noise)
    x, y = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1), torch.tensor([0])
    loss = stability.loss(model, x, y, sigma=1.0, progress=1.0, lambda_=3.0)
    target = np.e / (1 + np.e)
    expected = np.log(1 + np.exp(-1)) + 3 * (4 * target + np.log(1 + np.exp(-4)))
    assert loss.item() == pytest.approx(expected, rel=1e-6)


class Scaled(nn.Module):
    """Logits that are the pixels times a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) * self.scale


def test_predictions_that_underflow_are_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    # exp(-400) is 0 in float32. The predictions are certain, and opposite: H = 400 s by hand,
    # where s is the logits' scale.
    model = Scaled()
    x, y = torch.tensor([200.0, -200.0]).view(1, 2, 1, 1), torch.tensor([0])
    monkeypatch.setattr(stability, "gaussian_copies", lambda x, m, sigma: -2 * x[None])
    loss = stability.loss(model, x, y, sigma=1.0, progress=1.0, lambda_=3.0)
    loss.backward()
    assert loss.item() == pytest.approx(3 * 400)
    assert model.scale.grad is not None
    assert model.scale.grad.item() == pytest.approx(3 * 400)


class Watched(nn.Module):
    """Records the images of each forward."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(PIXELS), Linear())
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        assert self.training
        self.seen.append(x.detach().clone())
        return self.inner(x)


def test_clean_and_noisy_images_are_two_forward_passes(noise: Tensor) -> None:
    model, (x, y) = Watched(), batch()
    stability.loss(model, x, y, sigma=SIGMA, progress=1.0)
    assert int(model.state_dict()["inner.1.num_batches_tracked"]) == 2
    clean, noisy = model.seen
    assert torch.equal(clean, x)
    assert torch.equal(noisy, x + noise[0])


def test_the_noise_has_the_level_asked_for() -> None:
    model, x = Watched(), torch.rand(400, *SHAPE)
    y = torch.zeros(400, dtype=torch.long)
    stability.loss(model, x, y, sigma=0.3, progress=1.0)
    shift = model.seen[1] - x
    assert shift.std().item() == pytest.approx(0.3, rel=0.05)
    assert shift.mean().item() == pytest.approx(0.0, abs=0.02)

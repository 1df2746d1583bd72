"""SmoothAdv + Consistency: the formula of consistency, in NumPy, at adversarial images."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rszoo.methods import consistency, smoothadv, smoothadv_consistency

Array = NDArray[np.float64]
M, BATCH, CLASSES, SHAPE, PIXELS = 4, 6, 3, (3, 2, 2), 12
LABELS = torch.arange(BATCH) % CLASSES


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Fix the noise of the loss."""
    fixed = 0.5 * torch.randn(M, BATCH, *SHAPE)
    monkeypatch.setattr(smoothadv_consistency, "gaussian_copies", lambda x, m, sigma: fixed[:m])
    return fixed


class Linear(nn.Linear):
    """A linear network for images, with logits that are not all alike."""

    def __init__(self, scale: float = 3.0) -> None:
        super().__init__(PIXELS, CLASSES)
        with torch.no_grad():
            self.weight.mul_(scale)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flatten(1))


def flat(t: Tensor, start: int) -> Array:
    return t.flatten(start).double().numpy()


def softmax(z: Array) -> Array:
    f = np.exp(z)
    return f / f.sum(-1, keepdims=True)


def adversarial(
    weight: Array, bias: Array, x: Array, noise: Array, steps: int, radius: float
) -> Array:
    """SmoothAdv-PGD on a linear network; [BATCH, PIXELS]."""
    moved = x.copy()
    for b, label in enumerate(LABELS.tolist()):
        for _ in range(steps):
            f = softmax((moved[b] + noise[:, b]) @ weight.T + bias)
            gradient = -f[:, label] @ (weight[label] - f @ weight)
            point = moved[b] + 2 * radius / steps * gradient / np.linalg.norm(gradient)
            shift = np.clip(point, 0, 1) - x[b]
            moved[b] = x[b] + shift * min(1.0, radius / np.linalg.norm(shift))
    return moved


def formula(
    weight: Array, bias: Array, points: Array, noise: Array, *, lambda_: float, eta: float
) -> float:
    """The loss of consistency at given points, in the plain domain."""
    total = 0.0
    for b, label in enumerate(LABELS.tolist()):
        f = softmax((points[b] + noise[:, b]) @ weight.T + bias)
        mean = f.mean(0)
        total += np.mean([-np.log(copy[label]) for copy in f])
        total += lambda_ * np.mean([np.sum(mean * np.log(mean / copy)) for copy in f])
        total -= eta * np.sum(mean * np.log(mean))
    return float(total) / BATCH


@pytest.mark.parametrize(("lambda_", "eta"), [(1.0, 0.5), (5.0, 0.0), (0.0, 2.0), (0.0, 0.0)])
@pytest.mark.parametrize(("m", "steps", "epsilon"), [(M, 10, 1.0), (2, 3, 0.4), (1, 1, 2.0)])
def test_the_loss_is_the_formula_at_the_adversarial_images(
    noise: Tensor, m: int, steps: int, epsilon: float, lambda_: float, eta: float
) -> None:
    model, x = Linear(), torch.rand(BATCH, *SHAPE)
    loss = smoothadv_consistency.loss(
        model,
        x,
        LABELS,
        sigma=0.5,
        progress=1.0,
        m=m,
        lambda_=lambda_,
        eta=eta,
        attack_steps=steps,
        epsilon=epsilon,
    )
    weight, bias = (p.detach().double().numpy() for p in model.parameters())
    rows, copies = flat(x, 1), flat(noise[:m], 2)
    moved = adversarial(weight, bias, rows, copies, steps, epsilon)
    expected = formula(weight, bias, moved, copies, lambda_=lambda_, eta=eta)
    clean = formula(weight, bias, rows, copies, lambda_=lambda_, eta=eta)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert abs(expected - clean) > 0.05


def test_the_gradient_is_that_of_the_formula_at_fixed_adversarial_images(noise: Tensor) -> None:
    model, x = Linear(), torch.rand(BATCH, *SHAPE)
    smoothadv_consistency.loss(
        model, x, LABELS, sigma=0.5, progress=1.0, m=M, lambda_=4.0
    ).backward()
    weight, bias = (p.detach().double().numpy() for p in model.parameters())
    copies = flat(noise, 2)
    moved = adversarial(weight, bias, flat(x, 1), copies, 10, 1.0)
    numeric, step = np.zeros_like(weight), 1e-6
    for entry in np.ndindex(*weight.shape):
        up, down = weight.copy(), weight.copy()
        up[entry] += step
        down[entry] -= step
        values = [formula(w, bias, moved, copies, lambda_=4.0, eta=0.5) for w in (up, down)]
        numeric[entry] = (values[0] - values[1]) / (2 * step)
    assert np.abs(numeric).max() > 0.1
    assert model.weight.grad is not None
    assert np.allclose(model.weight.grad.numpy(), numeric, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("progress", "warmup", "share"), [(0.05, 0.1, 0.5), (0.01, 0.0, 1.0)])
def test_the_radius_rises_in_the_warm_up(
    noise: Tensor, progress: float, warmup: float, share: float
) -> None:
    model, x = Linear(), torch.rand(BATCH, *SHAPE)
    loss = smoothadv_consistency.loss(
        model, x, LABELS, sigma=0.5, progress=progress, m=M, epsilon=0.8, warmup=warmup
    )
    weight, bias = (p.detach().double().numpy() for p in model.parameters())
    copies = flat(noise, 2)
    moved = adversarial(weight, bias, flat(x, 1), copies, 10, 0.8 * share)
    expected = formula(weight, bias, moved, copies, lambda_=1.0, eta=0.5)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("progress", [0.02, 1.0])
def test_without_its_terms_it_is_smoothadv(progress: float) -> None:
    model, x = Linear(), torch.rand(BATCH, *SHAPE)
    shared = {"sigma": 0.5, "progress": progress, "m": 3, "attack_steps": 4, "epsilon": 0.7}
    torch.manual_seed(3)
    loss = smoothadv_consistency.loss(model, x, LABELS, lambda_=0.0, eta=0.0, **shared)
    torch.manual_seed(3)
    assert loss.item() == pytest.approx(smoothadv.loss(model, x, LABELS, **shared).item())


def test_without_steps_it_is_consistency() -> None:
    model, x = Linear(), torch.rand(BATCH, *SHAPE)
    shared = {"sigma": 0.5, "progress": 1.0, "m": 3, "lambda_": 7.0, "eta": 0.3}
    torch.manual_seed(4)
    loss = smoothadv_consistency.loss(model, x, LABELS, attack_steps=0, **shared)
    torch.manual_seed(4)
    assert loss.item() == pytest.approx(consistency.loss(model, x, LABELS, **shared).item())


class Watched(nn.Module):
    """Records the images, the mode and whether parameters are trainable in each forward."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(PIXELS), Linear())
        self.seen: list[Tensor] = []
        self.states: list[tuple[bool, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        self.states.append((self.training, all(p.requires_grad for p in self.parameters())))
        return self.inner(x)


def test_the_attack_leaves_the_network_and_shares_its_noise_with_the_loss() -> None:
    model, x = Watched(), torch.rand(BATCH, *SHAPE)
    loss = smoothadv_consistency.loss(
        model, x, LABELS, sigma=0.5, progress=1.0, m=3, attack_steps=2
    )
    assert model.states == [(False, False), (False, False), (True, True)]
    assert int(model.state_dict()["inner.1.num_batches_tracked"]) == 1
    first, _, last = (seen.unflatten(0, (3, BATCH)) for seen in model.seen)
    moved = last - (first - x)
    assert torch.allclose(moved, moved[:1].expand_as(moved), atol=1e-5)
    assert (moved[0] - x).flatten(1).norm(dim=1).min() > 0.1
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())

"""MACER against its formula, written again in NumPy; which images its radius is for."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from torch import Tensor, nn

from rszoo.methods import gaussian, macer

Array = NDArray[np.float64]
M, BATCH, CLASSES, SHAPE = 4, 8, 3, (3, 2, 2)
PIXELS = 12


def softmax(z: Array) -> Array:
    f = np.exp(z - z.max(-1, keepdims=True))
    return f / f.sum(-1, keepdims=True)


def radius_terms(logits: Array, y: Array, beta: float, gamma: float) -> list[float | None]:
    """Return gamma - xi of each image, None outside G; logits are [m, B, classes]."""
    terms = []
    for q, label in zip(softmax(beta * logits).mean(0), y, strict=True):
        second, first = np.sort(q)[-2:]
        xi = norm.ppf(first) - norm.ppf(second)
        inside = q.argmax() == label and np.isfinite(xi) and xi <= gamma
        terms.append(float(gamma - xi) if inside else None)
    return terms


def formula(
    logits: Array, y: Array, *, sigma: float, lambda_: float, beta: float, gamma: float
) -> float:
    total = 0.0
    for b, term in enumerate(radius_terms(logits, y, beta, gamma)):
        total -= np.log(softmax(logits)[:, b, y[b]].mean())
        total += lambda_ * sigma / 2 * (term or 0.0)
    return total / len(y)


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Fix the noise of the loss."""
    fixed = 0.5 * torch.randn(M, BATCH, *SHAPE)
    monkeypatch.setattr(macer, "gaussian_copies", lambda x, m, sigma: fixed[:m])
    return fixed


def linear() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, CLASSES))


def batch() -> tuple[Tensor, Tensor]:
    return torch.rand(BATCH, *SHAPE), torch.tensor([0, 1, 2, 0, 2, 2, 0, 2])


def doubled(model: nn.Module) -> tuple[Array, Array]:
    weight, bias = (p.detach().double().numpy() for p in model.parameters())
    return weight, bias


def pixels(x: Tensor, noise: Tensor) -> Array:
    return (x + noise).flatten(2).double().numpy()


@pytest.mark.parametrize("m", [1, 3, M])
@pytest.mark.parametrize(
    ("lambda_", "beta", "gamma"), [(12.0, 4.0, 1.5), (3.0, 16.0, 8.0), (6.0, 1.0, 0.5)]
)
def test_the_loss_is_the_formula(
    noise: Tensor, m: int, lambda_: float, beta: float, gamma: float
) -> None:
    model, (x, y) = linear(), batch()
    values = {"lambda_": lambda_, "beta": beta, "gamma": gamma}
    loss = macer.loss(model, x, y, sigma=0.7, progress=1.0, m=m, **values)
    weight, bias = doubled(model)
    logits = pixels(x, noise[:m]) @ weight.T + bias
    terms = radius_terms(logits, y.numpy(), beta, gamma)
    assert 0 < sum(term is not None for term in terms) < BATCH
    assert loss.item() == pytest.approx(formula(logits, y.numpy(), sigma=0.7, **values), rel=1e-5)


def test_the_gradient_is_that_of_the_formula(noise: Tensor) -> None:
    model, (x, y) = linear(), batch()
    values = {"lambda_": 5.0, "beta": 4.0, "gamma": 1.5}
    macer.loss(model, x, y, sigma=0.5, progress=1.0, m=M, **values).backward()
    weight, bias = doubled(model)
    points = pixels(x, noise)
    numeric, step = np.zeros_like(weight), 1e-6
    for entry in np.ndindex(*weight.shape):
        ends = []
        for sign in (1, -1):
            moved = weight.copy()
            moved[entry] += sign * step
            ends.append(formula(points @ moved.T + bias, y.numpy(), sigma=0.5, **values))
        numeric[entry] = (ends[0] - ends[1]) / (2 * step)
    assert np.abs(numeric).max() > 0.1
    first = next(model.parameters())
    assert first.grad is not None
    assert np.allclose(first.grad, numeric, atol=1e-5, rtol=1e-4)


class Pixels(nn.Module):
    """Logits that are the (noisy) pixels."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, 0, 0]


def loss_of(
    logits: list[list[float]],
    y: list[int],
    monkeypatch: pytest.MonkeyPatch,
    *,
    progress: float = 1.0,
    **weights: float,
) -> tuple[float, Tensor]:
    """Return the loss (sigma 1/2, m 1, no noise) of given logits, and its gradient in them."""
    monkeypatch.setattr(macer, "gaussian_copies", lambda x, m, sigma: torch.zeros(m, *x.shape))
    x = torch.tensor(logits)[:, :, None, None].requires_grad_()
    values = {"lambda_": 4.0, "beta": 1.0, "gamma": 3.0} | weights
    loss = macer.loss(Pixels(), x, torch.tensor(y), sigma=0.5, progress=progress, m=1, **values)
    loss.backward()
    assert x.grad is not None
    return loss.item(), x.grad[:, :, 0, 0]


# With logits (log 4, 0) q is (4/5, 1/5), and xi = 2 Phi^-1(4/5) = 2 * 0.8416212.
LOG4, XI = float(np.log(4)), 2 * 0.8416212335729143


def test_two_classes_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, gradient = loss_of([[LOG4, 0.0]], [0], monkeypatch)
    assert loss == pytest.approx(np.log(5 / 4) + 4 * 0.25 * (3 - XI), rel=1e-5)
    # dq1 = q1 q2 dz1 = 0.16 dz1; both quantiles move, by dq / phi(0.8416) = dq / 0.2799619.
    assert gradient[0, 0].item() == pytest.approx(-0.2 - 2 * 0.16 / 0.2799619, rel=1e-4)
    assert gradient[0, 1].item() == pytest.approx(0.2 + 2 * 0.16 / 0.2799619, rel=1e-4)


def test_it_divides_by_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, y = [[LOG4, 0.0]] * 5, [0, 1, 1, 1, 0]  # three are wrong
    with_radius, _ = loss_of(logits, y, monkeypatch)
    without, _ = loss_of(logits, y, monkeypatch, lambda_=0.0)
    assert with_radius - without == pytest.approx(4 * 0.25 * 2 * (3 - XI) / 5, rel=1e-5)


@pytest.mark.parametrize(
    ("logits", "label", "weights"),
    [
        ([LOG4, 0.0, -9.0], 1, {}),
        ([LOG4, 0.0, -9.0], 2, {}),
        ([LOG4, 0.0, -np.inf], 0, {"gamma": XI - 0.01}),
        ([10.0, -10.0, -10.0], 0, {"beta": 16.0}),  # q is (1, 0, 0): xi is infinite
        ([10.0, -10.0, -10.0], 0, {"beta": 16.0, "gamma": 1e30}),
        ([10.0, -10.0, -10.0], 1, {"beta": 16.0}),
    ],
    ids=["wrong", "third", "large", "infinite", "infinite with any gamma", "infinitely wrong"],
)
def test_images_outside_g_add_nothing(
    logits: list[float], label: int, weights: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = [max(z, -60.0) for z in logits]
    both = [logits, [LOG4 / weights.get("beta", 1.0), 0.0, -60.0]]
    results = [
        loss_of(both, [label, 0], monkeypatch, **weights, lambda_=lambda_)
        for lambda_ in (0.0, 4.0)
    ]
    (plain, plain_gradient), (loss, gradient) = results
    gamma = weights.get("gamma", 3.0)
    expected = max(gamma - XI, 0.0) if gamma >= XI else 0.0
    assert loss - plain == pytest.approx(4 * 0.25 * expected / 2, rel=1e-4, abs=1e-6)
    assert torch.equal(gradient[0], plain_gradient[0])
    assert gradient.isfinite().all()
    assert torch.equal(gradient[1], plain_gradient[1]) == (gamma < XI)


@pytest.mark.parametrize(("gamma", "inside"), [(XI + 0.01, True), (XI - 0.01, False)])
def test_gamma_is_where_an_image_is_left_alone(
    gamma: float, inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, gradient = loss_of([[LOG4, 0.0]], [0], monkeypatch, gamma=gamma)
    assert (gradient[0, 0].item() < -0.5) is inside
    assert (gradient[0, 0].item() == pytest.approx(-0.2)) is not inside


@pytest.mark.parametrize(
    ("progress", "deferred", "lambda_", "plain"),
    [
        (0.1, 0.3, 5.0, True),
        (0.3, 0.3, 5.0, True),
        (0.31, 0.3, 5.0, False),
        (0.01, 0.0, 5.0, False),
        (1.0, 0.0, 0.0, True),
    ],
)
def test_the_radius_waits_until_deferred(
    noise: Tensor, progress: float, deferred: float, lambda_: float, plain: bool
) -> None:
    model, (x, y) = linear(), batch()
    loss = macer.loss(
        model, x, y, sigma=0.5, progress=progress, m=M, lambda_=lambda_, deferred=deferred
    )
    weight, bias = doubled(model)
    p = softmax(pixels(x, noise) @ weight.T + bias).mean(0)
    expected = float(-np.log(p[np.arange(BATCH), y.numpy()]).mean())
    assert (loss.item() == pytest.approx(expected, rel=1e-5)) is plain


def test_a_class_whose_softmax_underflows_is_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    # exp(-400) is 0 in float32; -log p_y is 400.
    loss, gradient = loss_of([[400.0, 0.0]], [1], monkeypatch)
    assert loss == pytest.approx(400)
    assert gradient[0].tolist() == pytest.approx([1.0, -1.0])


def test_one_copy_without_the_radius_is_gaussian() -> None:
    model, (x, y) = linear(), batch()
    torch.manual_seed(4)
    one = macer.loss(model, x, y, sigma=0.5, progress=1.0, m=1, lambda_=0.0)
    torch.manual_seed(4)
    plain = gaussian.loss(model, x, y, sigma=0.5, progress=1.0)
    assert one.item() == pytest.approx(plain.item(), rel=1e-6)


def test_under_bfloat16_quantiles_are_float32(noise: Tensor) -> None:
    # With 8 bits for q, 0.999 would be 1 and its quantile infinite.
    model, (x, _) = linear(), batch()
    y = torch.zeros(BATCH, dtype=torch.long)
    with torch.no_grad():
        list(model.parameters())[1].copy_(torch.tensor([8.0, 0.5, 0.0]))
    weight, bias = (p.detach().bfloat16() for p in model.parameters())
    rounded = nn.functional.linear((x + noise).flatten(2).bfloat16(), weight, bias)
    logits = rounded.double().numpy()
    assert softmax(logits).mean(0)[:, 0].min() > 0.998
    values = {"lambda_": 4.0, "beta": 1.0, "gamma": 8.0}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = macer.loss(model, x, y, sigma=0.5, progress=1.0, m=M, **values)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(formula(logits, y.numpy(), sigma=0.5, **values), rel=1e-4)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())

"""The router's loss against the formula, written again in NumPy, and at its extremes."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rszoo.methods import consistency, dual_rs, gaussian, smoothadv_consistency

Array = NDArray[np.float64]
BATCH, EXPERTS, PIXELS = 5, 3, 12
RADII = torch.tensor(
    [[0.2, 0.9, 0.0], [0.0, 0.0, 0.0], [0.4, 0.4, 0.4], [0.0, 0.3, 1.5], [0.7, 0.0, 0.1]]
)
WEIGHTS = torch.tensor([0.5, 0.0, 1.5, 2.0, 1.0])


def formula(logits: Array, *, lambda_: float, eta: float, temperature: float) -> float:
    """The loss for logits [m, B, K], in the plain domain."""
    f = np.exp(logits)
    f /= f.sum(-1, keepdims=True)
    total = 0.0
    for b, (radii, weight) in enumerate(zip(RADII.numpy(), WEIGHTS.numpy(), strict=True)):
        target = np.exp(radii / temperature) / np.exp(radii / temperature).sum()
        mean = f[:, b].mean(0)
        of_image = -eta * np.sum(mean * np.log(mean))
        for copy in f[:, b]:
            of_image -= np.sum(target * np.log(copy)) / len(f)
            of_image += lambda_ * np.sum(mean * np.log(mean / copy)) / len(f)
        total += weight * of_image
    return total / len(RADII)


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Fix the noise of the loss: [m = 3, BATCH, ...]."""
    fixed = 0.5 * torch.randn(3, BATCH, 3, 2, 2)
    monkeypatch.setattr(dual_rs, "gaussian_copies", lambda x, m, sigma: fixed[:m])
    return fixed


def linear() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, EXPERTS))


def images() -> tuple[Tensor, Tensor]:
    return torch.rand(BATCH, 3, 2, 2), RADII.argmax(1)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
@pytest.mark.parametrize(("lambda_", "eta"), [(40.0, 0.5), (0.0, 0.7), (3.0, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_loss_is_the_formula(
    noise: Tensor, m: int, lambda_: float, eta: float, temperature: float
) -> None:
    model, (x, y) = linear(), images()
    options = {"lambda_": lambda_, "eta": eta, "temperature": temperature}
    loss = dual_rs.loss(model, x, y, RADII, WEIGHTS, sigma=0.5, progress=1.0, m=m, **options)
    weight, bias = (p.detach().double().numpy() for p in model.parameters())
    logits = (x + noise[:m]).flatten(2).double().numpy() @ weight.T + bias
    assert loss.item() == pytest.approx(formula(logits, **options), rel=1e-5)


def test_by_hand() -> None:
    # The network answers (2/3, 1/3) to everything. Radii 0 and log 3 at temperature 1 are the
    # target (1/4, 3/4): CE = (1/4) log(3/2) + (3/4) log 3; the copies agree; eta H is
    # (1/2) ((2/3) log(3/2) + (1/3) log 3); the weight is 4.
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].bias.copy_(torch.tensor([math.log(2.0), 0.0]))
    radii = torch.tensor([[0.0, math.log(3.0)]])
    x, y = torch.rand(1, 1, 1, 1), torch.tensor([1])
    loss = dual_rs.loss(model, x, y, radii, torch.tensor([4.0]), sigma=0.5, progress=1.0)
    low, high = math.log(1.5), math.log(3.0)
    by_hand = 4 * (low / 4 + 3 * high / 4 + 0.5 * (2 * low / 3 + high / 3))
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)


def far_apart() -> Tensor:
    """Radii whose targets are one-hot in float32."""
    return 1000.0 * nn.functional.one_hot(RADII.argmax(1), EXPERTS).float()


def test_certain_radii_and_no_regularisation_give_the_cross_entropy_of_the_best_expert() -> None:
    model, (x, y) = linear(), images()
    torch.manual_seed(3)
    loss = dual_rs.loss(
        *(model, x, y, far_apart(), torch.ones(BATCH)),
        **{"sigma": 0.5, "progress": 1.0, "m": 2, "lambda_": 0.0, "eta": 0.0},
    )
    torch.manual_seed(3)
    repeated = gaussian.loss(model, x.repeat(2, 1, 1, 1), y.repeat(2), sigma=0.5, progress=1.0)
    assert loss.item() == pytest.approx(repeated.item(), rel=1e-6)


def test_certain_radii_and_equal_weights_give_consistency() -> None:
    model, (x, y) = linear(), images()
    options = {"sigma": 0.5, "progress": 1.0, "m": 2, "lambda_": 7.0, "eta": 0.3}
    torch.manual_seed(3)
    loss = dual_rs.loss(model, x, y, far_apart(), torch.ones(BATCH), **options)
    torch.manual_seed(3)
    assert loss.item() == pytest.approx(consistency.loss(model, x, y, **options).item(), rel=1e-6)


def test_an_image_of_weight_zero_teaches_nothing(noise: Tensor) -> None:
    del noise  # fixed, so that only the image differs
    model, (x, y) = linear(), images()
    other = x.clone()
    other[1] = torch.rand(3, 2, 2)
    values = [
        dual_rs.loss(model, pixels, y, RADII, WEIGHTS, sigma=0.5, progress=1.0).item()
        for pixels in (x, other)
    ]
    assert values[0] == values[1]
    other[2] = torch.rand(3, 2, 2)
    assert dual_rs.loss(model, other, y, RADII, WEIGHTS, sigma=0.5, progress=1.0) != values[0]


def test_radii_far_apart_in_temperature_single_one_out() -> None:
    # Half as far apart at half the temperature is the same; colder is another loss.
    model, (x, y) = linear(), images()
    values = []
    for radii, temperature in ((RADII, 1.0), (RADII / 2, 0.5), (RADII, 0.5)):
        torch.manual_seed(3)
        loss = dual_rs.loss(
            *(model, x, y, radii, WEIGHTS),
            **{"sigma": 0.5, "progress": 1.0, "temperature": temperature},
        )
        values.append(loss.item())
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    assert abs(values[0] - values[2]) > 0.01


class Given(nn.Module):
    """Logits that are the noisy pixels times a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, 0, 0] * self.scale


def test_certainties_that_underflow_have_a_finite_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # exp(-400) is 0 in float32. Fbar = (1/2, 1/2), so by hand, with the target (1/2, 1/2):
    # CE = 400 / 2, each KL = -log 2 + 400 / 2, H = log 2; the logits' scale s multiplies the 400.
    fixed = torch.tensor([[200.0, -200.0], [-200.0, 200.0]])[:, None, :, None, None]
    monkeypatch.setattr(dual_rs, "gaussian_copies", lambda x, m, sigma: fixed)
    model = Given()
    loss = dual_rs.loss(
        *(model, torch.zeros(1, 2, 1, 1), torch.tensor([0])),
        *(torch.ones(1, 2), torch.ones(1)),
        **{"sigma": 1.0, "progress": 1.0},
    )
    loss.backward()
    expected = 200 + 40 * (200 - math.log(2)) + 0.5 * math.log(2)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert model.scale.grad is not None
    assert model.scale.grad.item() == pytest.approx(200 + 40 * 200, rel=1e-6)


ATTACK: dict[str, float] = {"attack_steps": 3, "epsilon": 0.4}


def test_certain_radii_give_consistency_on_adversarial_images() -> None:
    model, (x, y) = linear(), images()
    options: dict[str, Any] = {"sigma": 0.5, "m": 2, "lambda_": 7.0, "eta": 0.3, **ATTACK}
    for progress in (1.0, 0.05):  # once in the middle of the warm-up
        torch.manual_seed(3)
        loss = dual_rs.loss(
            model, x, y, far_apart(), torch.ones(BATCH), progress=progress, **options
        )
        torch.manual_seed(3)
        known = smoothadv_consistency.loss(model, x, y, progress=progress, **options)
        assert loss.item() == pytest.approx(known.item(), rel=1e-6)


def test_the_attack_is_within_its_ball_and_makes_the_loss_larger(noise: Tensor) -> None:
    model, (x, y) = linear(), images()
    seen: list[Tensor] = []

    class Seeing(nn.Module):
        def forward(self, points: Tensor) -> Tensor:
            seen.append(points.detach())
            return model(points)

    given = (Seeing(), x, y, RADII, WEIGHTS)
    options: dict[str, Any] = {"sigma": 0.5, "progress": 1.0, "epsilon": 0.4}
    alone, attacked = (
        dual_rs.loss(*given, attack_steps=steps, **options).item() for steps in (0, 5)
    )
    assert attacked > alone
    moved = seen[-1].view(2, BATCH, 3, 2, 2) - noise[:2]
    shift = (moved[0] - x).flatten(1).norm(dim=1)
    assert 0.39 < float(shift.max()) < 0.4 + 1e-5
    assert float(moved.min()) > -1e-6
    assert float(moved.max()) < 1 + 1e-6

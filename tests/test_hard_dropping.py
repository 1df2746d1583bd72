"""Hard-sample dropping: its attack on the noise, and the weights that its votes lead to."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import binom, norm
from torch import Tensor, nn

from rszoo.methods import gaussian, hard_dropping

Array = NDArray[np.float64]
M, BATCH, CLASSES, SHAPE = 4, 6, 3, (3, 2, 2)
PIXELS = 12


def linear() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, CLASSES))


def batch() -> tuple[Tensor, Tensor]:
    return torch.rand(BATCH, *SHAPE), torch.tensor([0, 1, 2, 1, 1, 0])


def softmax(z: Array) -> Array:
    return np.exp(z) / np.exp(z).sum(-1, keepdims=True)


def flat(t: Tensor, start: int) -> Array:
    return t.flatten(start).double().numpy()


class Watched(nn.Module):
    """Records, for each forward, its points, the mode and whether parameters are trainable."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.calls: list[tuple[bool, bool]] = []
        self.points: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append((self.training, any(p.requires_grad for p in self.parameters())))
        self.points.append(x.detach().clone())
        return self.inner(x)


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Fix the noise of the loss."""
    fixed = 0.5 * torch.randn(M, BATCH, *SHAPE)
    monkeypatch.setattr(hard_dropping, "gaussian_copies", lambda x, m, sigma: fixed)
    return fixed


@pytest.mark.parametrize(("progress", "start"), [(0.1, 0.4), (0.4, 0.4)])
def test_until_start_it_is_the_mean_cross_entropy_of_the_copies(
    progress: float, start: float
) -> None:
    model, (x, y) = linear(), batch()
    torch.manual_seed(3)
    loss = hard_dropping.loss(model, x, y, sigma=0.5, progress=progress, m=M, start=start)
    torch.manual_seed(3)
    repeated = gaussian.loss(model, x.repeat(M, 1, 1, 1), y.repeat(M), sigma=0.5, progress=1.0)
    assert loss.item() == pytest.approx(repeated.item(), rel=1e-6)


@pytest.mark.usefixtures("noise")
def test_without_steps_the_noise_stays_as_it_is() -> None:
    model, (x, y) = linear(), batch()
    values = [
        hard_dropping.loss(
            model, x, y, sigma=0.5, progress=progress, m=M, start=0.4, attack_steps=steps
        ).item()
        for progress, steps in ((0.3, 6), (0.41, 0), (0.41, 6))
    ]
    assert values[1] == pytest.approx(values[0], rel=1e-6)
    assert values[2] > values[0] + 0.05


def attacked(
    weight: Array, bias: Array, x: Array, label: int, noise: Array, steps: int, step_size: float
) -> tuple[Array, int]:
    """Return the attacked noise of one copy, and the steps that were taken."""
    size = np.linalg.norm(noise)
    for taken in range(steps):
        f = softmax((x + noise) @ weight.T + bias)
        if f.argmax() != label:
            return noise, taken
        gradient = (f - np.eye(CLASSES)[label]) @ weight
        noise = noise + step_size * gradient / np.linalg.norm(gradient)
        noise = noise * size / np.linalg.norm(noise)
    return noise, steps


@pytest.mark.parametrize(("attack_steps", "step_size"), [(6, 0.25), (3, 0.5), (10, 0.1)])
def test_the_attack_is_that_of_the_formula(
    noise: Tensor, attack_steps: int, step_size: float
) -> None:
    model, (x, y) = Watched(linear()), batch()
    loss = hard_dropping.loss(
        model, x, y, sigma=0.5, progress=0.5, m=M, attack_steps=attack_steps, step_size=step_size
    )
    weight, bias = (p.detach().double().numpy() for p in model.parameters())
    pixels, copies = flat(x, 1), flat(noise, 2)
    last = flat(model.points[-1].unflatten(0, (M, BATCH)), 2)
    total, taken = 0.0, []
    for i, b in np.ndindex(M, BATCH):
        worst, steps = attacked(
            weight, bias, pixels[b], int(y[b]), copies[i, b], attack_steps, step_size
        )
        taken.append(steps)
        assert last[i, b] - pixels[b] == pytest.approx(worst, abs=1e-5)
        total -= np.log(softmax((pixels[b] + worst) @ weight.T + bias)[y[b]])
    assert loss.item() == pytest.approx(total / (M * BATCH), rel=1e-5)
    assert min(taken) == 0
    assert max(taken) == attack_steps
    assert set(taken) - {0, attack_steps}  # some stop on their way


def test_the_attacked_noise_is_as_long_as_before(noise: Tensor) -> None:
    model, (x, y) = Watched(linear()), batch()
    hard_dropping.loss(model, x, y, sigma=0.5, progress=0.5, m=M, step_size=2.0)
    moved = model.points[-1].unflatten(0, (M, BATCH)) - x
    assert torch.allclose(moved.flatten(2).norm(dim=2), noise.flatten(2).norm(dim=2), rtol=1e-4)
    assert (moved - noise).flatten(2).norm(dim=2).max() > 1


def test_the_gradient_does_not_pass_through_the_attack(noise: Tensor) -> None:
    model, (x, y) = Watched(linear()), batch()
    hard_dropping.loss(model, x, y, sigma=0.5, progress=0.5, m=M).backward()
    points = flat(model.points[-1], 1)
    weight, bias = (p.detach().double().numpy() for p in model.parameters())
    error = softmax(points @ weight.T + bias) - np.eye(CLASSES)[y.repeat(M).numpy()]
    for parameter, expected in zip(
        model.parameters(), (error.T @ points / (M * BATCH), error.mean(0)), strict=True
    ):
        assert parameter.grad is not None
        assert np.allclose(parameter.grad, expected, atol=1e-6)


@pytest.mark.parametrize("attack_steps", [0, 1, 4])
def test_the_attack_runs_in_eval_mode_with_frozen_parameters(attack_steps: int) -> None:
    normalise = nn.BatchNorm1d(PIXELS)
    model, (x, y) = Watched(nn.Sequential(nn.Flatten(), normalise, linear())), batch()
    loss = hard_dropping.loss(model, x, y, sigma=0.5, progress=0.5, attack_steps=attack_steps)
    assert model.calls == [(False, False)] * attack_steps + [(True, True)]
    assert normalise.num_batches_tracked is not None
    assert int(normalise.num_batches_tracked) == 1
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


class Voters(nn.Module):
    """Gives image i, whose pixels are i / 255, as many right answers as it is told.

    Args:
        rounds: for each round of votes, its draws and the right ones among them, per image.
    """

    def __init__(self, *rounds: tuple[int, list[int]]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        images = len(rounds[0][1])
        self.answers = [
            [j < right[i] for draws, right in rounds for j in range(draws)] for i in range(images)
        ]
        self.seen = [0] * images

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.zeros(len(x), 2)
        for row, image in enumerate((x.flatten(1).mean(1) * 255).round().int().tolist()):
            logits[row, 0 if self.answers[image][self.seen[image]] else 1] = 1.0
            self.seen[image] += 1
        return logits


def renewed(model: nn.Module, before: list[float], *, first: bool, **weights: Any) -> list[float]:
    images = len(before)
    x = (torch.arange(images) / 255).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    y = torch.zeros(images, dtype=torch.long)
    given = torch.tensor(before)
    after = hard_dropping.refresh(model, x, y, given, sigma=1e-6, first=first, **weights)
    assert given.tolist() == before
    return after.tolist()


# p with P(Bin(16, p) >= k) = 1/10, and Phi^-1(p).
QUANTILES = {12: 0.1537, 13: 0.3286, 14: 0.5257, 15: 0.7649, 16: 1.1075}


@pytest.mark.parametrize("first", [True, False])
def test_weights_are_quantiles_of_the_bound_on_the_clipped_share_of_votes(first: bool) -> None:
    votes = list(range(17))
    rounds = [(100, [100] * 17)] * first + [(16, votes)]
    model = Voters(*rounds)
    weights = renewed(model, [1.0] * 17, first=first)
    assert model.seen == [116 if first else 16] * 17
    for k, weight in zip(votes, weights, strict=True):
        clipped = max(k, 12)
        assert binom.sf(clipped - 1, 16, norm.cdf(weight)) == pytest.approx(0.1, rel=1e-5)
    assert weights[12:] == pytest.approx(list(QUANTILES.values()), abs=1e-3)


@pytest.mark.parametrize("draws", [10, 41, 75, 100])
def test_every_vote_counts_whatever_the_number_of_draws(draws: int) -> None:
    votes = list(range(math.ceil(0.75 * draws), draws + 1))
    weights = renewed(Voters((draws, votes)), [1.0] * len(votes), first=False, draws=draws)
    for k, weight in zip(votes, weights, strict=True):
        if weight > 0:  # a bound below 1/2 weighs nothing
            assert binom.sf(k - 1, draws, norm.cdf(weight)) == pytest.approx(0.1, rel=1e-4)
    assert sum(weight > 0 for weight in weights) > 1


@pytest.mark.parametrize(("threshold", "least"), [(0.4, 40), (0.5, 50), (0.405, 41), (0.0, 0)])
def test_images_below_the_threshold_are_dropped_at_the_first_refresh(
    threshold: float, least: int
) -> None:
    votes = [0, 39, 40, 41, 49, 50, 51, 100]
    model = Voters((100, votes), (16, [16] * len(votes)))
    weights = renewed(model, [1.0] * len(votes), first=True, threshold=threshold)
    assert [weight > 0 for weight in weights] == [k >= least for k in votes]
    assert max(weights) == pytest.approx(QUANTILES[16], abs=1e-3)


def test_what_is_dropped_stays_dropped_and_nothing_else_is_dropped_later() -> None:
    before = [0.0, 0.5, 0.0, 1.0]
    weights = renewed(Voters((16, [16, 0, 0, 16])), before, first=False)
    assert weights == pytest.approx([0.0, QUANTILES[12], 0.0, QUANTILES[16]], abs=1e-3)


def test_what_was_dropped_before_stays_dropped_at_the_first_refresh() -> None:
    model = Voters((100, [100, 100]), (16, [16, 16]))
    assert renewed(model, [0.0, 1.0], first=True)[0] == 0


def test_votes_are_under_noise_of_sigma() -> None:
    # Right where the noise of the pixel is below sigma: pA = Phi(1) = .841.
    class Below(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([0.8 - x.flatten(1), torch.zeros(len(x), 1)], 1)

    images, draws = 200, 16
    x, y = torch.full((images, 1, 1, 1), 0.5), torch.zeros(images, dtype=torch.long)
    weights = hard_dropping.refresh(
        Below(), x, y, torch.ones(images), sigma=0.3, first=False, draws=draws
    )
    values = sorted(QUANTILES.values())
    share = [min(values, key=lambda value: abs(value - weight)) for weight in weights.tolist()]
    probabilities = binom.pmf([13, 14, 15, 16], draws, norm.cdf(1))
    expected = np.dot(probabilities, values[1:]) + (1 - probabilities.sum()) * values[0]
    # The standard deviation of a weight is about .25.
    assert np.mean(share) == pytest.approx(expected, abs=4 * 0.25 / images**0.5)


@pytest.mark.parametrize("training", [True, False])
def test_votes_leave_no_trace_in_the_network(training: bool) -> None:
    inner = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(PIXELS), linear())
    model, (x, y) = Watched(inner).train(training), batch()
    statistics = {name: value.clone() for name, value in model.named_buffers()}
    after = hard_dropping.refresh(model, x, y, torch.ones(BATCH), sigma=0.5, first=True)
    assert not after.requires_grad
    assert set(model.calls) == {(False, False)}
    assert all(module.training is training for module in model.modules())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(value, statistics[name]) for name, value in model.named_buffers())

"""Insta-RS: the noise of each image, and the search for its level against one on a grid."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from torch import Tensor, nn

from rszoo.methods import consistency, gaussian, insta_rs
from rszoo.smoothing.noise import gaussian_copies

Array = NDArray[np.float64]
BATCH, CLASSES, SHAPE, PIXELS = 6, 3, (3, 2, 2), 12
SIGMA = 0.5


def linear() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, CLASSES))


def batch() -> tuple[Tensor, Tensor]:
    return torch.rand(BATCH, *SHAPE), torch.arange(BATCH) % CLASSES


def test_one_copy_at_equal_levels_is_gaussian_at_that_level() -> None:
    model, (x, y) = linear(), batch()
    torch.manual_seed(4)
    one = insta_rs.loss(model, x, y, torch.full((BATCH,), 0.7), sigma=9.0, progress=1.0, m=1)
    torch.manual_seed(4)
    plain = gaussian.loss(model, x, y, sigma=0.7, progress=1.0)
    assert one.item() == pytest.approx(plain.item(), rel=1e-6)


@pytest.mark.parametrize(("lambda_", "eta"), [(0.0, 0.0), (3.0, 0.0), (0.0, 0.7), (10.0, 0.5)])
def test_at_equal_levels_it_is_consistency_at_that_level(lambda_: float, eta: float) -> None:
    model, (x, y) = linear(), batch()
    weights: dict[str, Any] = {"m": 3, "lambda_": lambda_, "eta": eta, "progress": 1.0}
    torch.manual_seed(4)
    loss = insta_rs.loss(model, x, y, torch.full((BATCH,), 0.7), sigma=9.0, **weights)
    torch.manual_seed(4)
    assert loss.item() == pytest.approx(
        consistency.loss(model, x, y, sigma=0.7, **weights).item(), rel=1e-6
    )


def test_without_its_terms_it_is_the_mean_cross_entropy_of_the_copies() -> None:
    model, (x, y) = linear(), batch()
    torch.manual_seed(3)
    loss = insta_rs.loss(model, x, y, torch.full((BATCH,), 0.3), sigma=9.0, progress=1.0, m=4)
    torch.manual_seed(3)
    repeated = gaussian.loss(model, x.repeat(4, 1, 1, 1), y.repeat(4), sigma=0.3, progress=1.0)
    assert loss.item() == pytest.approx(repeated.item(), rel=1e-6)


class Watched(nn.Module):
    """Records, for each forward, its points, the mode and whether parameters are trainable."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(PIXELS), linear())
        self.calls: list[tuple[bool, bool]] = []
        self.points: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append((self.training, any(p.requires_grad for p in self.parameters())))
        self.points.append(x.detach().clone())
        return self.inner(x)


def test_each_image_is_seen_at_its_own_level() -> None:
    model, (x, y) = Watched(), batch()
    levels = torch.tensor([0.25, 0.3, 0.5, 0.7, 0.9, 1.0])
    torch.manual_seed(6)
    insta_rs.loss(model, x, y, levels, sigma=9.0, progress=1.0, m=2).backward()
    torch.manual_seed(6)
    noise = gaussian_copies(x, 2, 1.0)
    (points,) = model.points
    for i in range(2):
        for b in range(BATCH):
            expected = x[b] + levels[b] * noise[i, b]
            assert torch.allclose(points[i * BATCH + b], expected, atol=1e-6)
    assert model.calls == [(True, True)]
    assert all(p.grad is not None for p in model.parameters())


class Band(nn.Module):
    """Class 0 within a band of the one pixel: far in it R(s) falls again, as noise leaves it."""

    def __init__(self) -> None:
        super().__init__()
        self.steepness = nn.Parameter(torch.tensor(8.0))

    def forward(self, x: Tensor) -> Tensor:
        pixel = x.flatten(1)
        return torch.cat(
            [self.steepness * (0.7 - (pixel - 0.5).abs()), torch.zeros_like(pixel)], 1
        )


def radii(pixel: float, label: int, noise: Array, levels: Array) -> Array:
    """R(s) of one image of the network above, by its formula; noise is [copies]."""
    z = 8 * (0.7 - np.abs(pixel + levels[:, None] * noise - 0.5))
    inside = (1 / (1 + np.exp(-z))).mean(1)
    right, wrong = (inside, 1 - inside) if label == 0 else (1 - inside, inside)
    return levels / 2 * (norm.ppf(right.clip(0.02, 0.98)) - norm.ppf(wrong.clip(0.02, 0.98)))


BAND = torch.tensor([0.0, 0.1, 0.25, 0.4, 0.5, 0.7, 0.9, 1.0, 0.5, 0.0]).view(-1, 1, 1, 1)
LABELS = torch.tensor([0, 0, 0, 0, 0, 0, 0, 0, 1, 1])


def band_search(*, seed: int, **weights: Any) -> tuple[Array, Array]:
    """Return the levels that are found, and the noise of the search, [copies, B]."""
    before = torch.full((len(BAND),), 0.4)
    torch.manual_seed(seed)
    after = insta_rs.refresh(Band(), BAND, LABELS, before, sigma=SIGMA, first=False, **weights)
    torch.manual_seed(seed)
    noise = gaussian_copies(BAND, weights["search_copies"], 1.0)
    return (2 * after - before).double().numpy(), noise.flatten(1).double().numpy()


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("levels", "search_steps", "spread"), [(5, 8, 4.0), (9, 4, 3.0)])
def test_the_level_is_the_best_of_a_grid_up_to_a_step(
    levels: int, search_steps: int, spread: float, seed: int
) -> None:
    found, noise = band_search(
        seed=seed, levels=levels, search_steps=search_steps, spread=spread, search_copies=64
    )
    step = 2 * math.log(spread) / (levels - 1) / (2 * search_steps)
    grid = SIGMA * spread ** np.linspace(-1, 1, 1201)
    inner = 0
    for b, pixel in enumerate(BAND.flatten().tolist()):
        values = radii(pixel, int(LABELS[b]), noise[:, b], grid)
        best = grid[int(np.argmax(values))] if values.max() > 0 else SIGMA / spread
        assert abs(math.log(found[b] / best)) <= step + 0.005
        inner += bool(SIGMA / spread * 1.05 < best < SIGMA * spread / 1.05)
    assert inner >= 4


@pytest.mark.parametrize("levels", [3, 4, 7])
def test_without_steps_it_is_the_best_of_the_starts(levels: int) -> None:
    found, noise = band_search(seed=5, levels=levels, search_steps=0, spread=2.0, search_copies=16)
    starts = SIGMA * 2.0 ** np.linspace(-1, 1, levels)
    for b, pixel in enumerate(BAND.flatten().tolist()):
        values = radii(pixel, int(LABELS[b]), noise[:, b], starts)
        best = starts[int(np.argmax(values))] if values.max() > 0 else SIGMA / 2
        assert found[b] == pytest.approx(best, rel=1e-5)
    assert len(set(found.round(4))) > 1


def test_a_start_moves_at_most_half_way_to_the_next() -> None:
    # R rises up to 2: the last of 3 starts is there already, so only the first one is looked at.
    class Sure(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.levels: list[float] = []

        def forward(self, x: Tensor) -> Tensor:
            self.levels.append(x.detach().std().item())
            return torch.cat([9 + 0 * x.flatten(1)[:, :1], 0 * x.flatten(1)[:, :1]], 1)

    model = Sure()
    x, y = torch.zeros(1, 1, 100, 100), torch.zeros(1, dtype=torch.long)
    insta_rs.refresh(
        model, x, y, torch.ones(1), sigma=1.0, first=False, levels=3, search_steps=4, spread=4.0
    )
    assert len(model.levels) == 15
    first = np.log(model.levels[:5]) - np.log(model.levels[0])
    assert first == pytest.approx(np.log(2) / 4 * np.arange(5), abs=1e-3)
    # 160,000 draws: the sample deviation is within 1 % of the truth.
    assert model.levels[::5] == pytest.approx([0.25, 1.0, 4.0], rel=0.01)
    assert model.levels[-1] == pytest.approx(model.levels[10])


class Always(nn.Module):
    """The same answer for everything."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits + 0 * x.flatten(1).sum(1, keepdim=True)


@pytest.mark.parametrize("logits", [[0.0, 9.0], [0.0, 200.0], [0.0, 0.1]])
def test_an_image_that_is_never_right_goes_half_way_to_the_smallest_level(
    logits: list[float],
) -> None:
    before = torch.tensor([0.25, 0.5, 1.0])
    x, y = torch.rand(3, 1, 2, 2), torch.zeros(3, dtype=torch.long)
    after = insta_rs.refresh(Always(logits), x, y, before, sigma=SIGMA, first=False)
    assert after.tolist() == pytest.approx([0.25, 0.375, 0.625])


@pytest.mark.parametrize("logits", [[9.0, 0.0], [200.0, 0.0], [0.1, 0.0]])
def test_an_image_that_no_noise_disturbs_goes_half_way_to_the_largest_level(
    logits: list[float],
) -> None:
    before = torch.tensor([0.25, 0.5, 1.0])
    x, y = torch.rand(3, 1, 2, 2), torch.zeros(3, dtype=torch.long)
    after = insta_rs.refresh(Always(logits), x, y, before, sigma=SIGMA, first=False)
    assert after.tolist() == pytest.approx([0.625, 0.75, 1.0])


def test_the_wrong_class_that_counts_is_the_largest() -> None:
    # p = (.4, .3, .3): right although it is no majority; with 1 - p_y for p_c it would be wrong.
    x, y, before = torch.rand(1, 1, 2, 2), torch.zeros(1, dtype=torch.long), torch.tensor([0.5])
    logits = np.log([0.4, 0.3, 0.3]).tolist()
    after = insta_rs.refresh(Always(logits), x, y, before, sigma=SIGMA, first=False)
    assert after.tolist() == pytest.approx([0.75])


@pytest.mark.parametrize("spread", [1.0, 1.5, 4.0])
@pytest.mark.parametrize("search_steps", [0, 1, 7])
def test_levels_stay_within_the_spread(spread: float, search_steps: int) -> None:
    low, high = SIGMA / spread, SIGMA * spread
    model, x = linear(), torch.rand(60, *SHAPE)
    with torch.no_grad():
        next(model.parameters()).mul_(5)
    y = model(x).argmax(1)
    levels = torch.linspace(low, high, 60)
    bounds = low * (1 - 1e-5), high * (1 + 1e-5)
    for _ in range(3):
        before = levels
        levels = insta_rs.refresh(
            model,
            x,
            y,
            before,
            sigma=SIGMA,
            first=False,
            spread=spread,
            search_steps=search_steps,
        )
        for values in (levels, 2 * levels - before):
            assert bounds[0] <= values.min().item()
            assert values.max().item() <= bounds[1]
    if spread > 1:
        assert len(levels.unique()) > 5


def test_levels_go_half_way() -> None:
    model, (x, y) = linear(), batch()
    after = []
    for before in (torch.full((BATCH,), 0.3), torch.linspace(0.3, 0.8, BATCH)):
        torch.manual_seed(2)
        after.append(insta_rs.refresh(model, x, y, before, sigma=SIGMA, first=False))
    difference = (torch.linspace(0.3, 0.8, BATCH) - 0.3) / 2
    assert torch.allclose(after[1] - after[0], difference, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_the_search_leaves_no_trace_in_the_network(training: bool) -> None:
    model, (x, y) = Watched().train(training), batch()
    statistics = {name: value.clone() for name, value in model.named_buffers()}
    before = torch.full((BATCH,), 0.5)
    after = insta_rs.refresh(
        model, x, y, before, sigma=SIGMA, first=False, levels=3, search_steps=2
    )
    assert not after.requires_grad
    assert before.tolist() == [0.5] * BATCH
    assert model.calls == [(False, False)] * 9
    assert all(module.training is training for module in model.modules())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(value, statistics[name]) for name, value in model.named_buffers())


@pytest.mark.parametrize(("quantile", "level"), [(0.55, 1.0), (0.5, 0.25)])
def test_beyond_98_percent_a_probability_counts_no_more(quantile: float, level: float) -> None:
    # p_y is .9999 at the level 1/4 and Phi(quantile) at 1: R is 2.0537 / 4 = .513 and quantile.
    class Sensitive(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            p = 0.9999 if x.std().item() < 0.5 else norm.cdf(quantile)
            logits = torch.tensor([np.log(p), np.log(1 - p)], dtype=torch.float32)
            return logits.expand(len(x), 2)

    x, y, before = torch.zeros(1, 1, 9, 9), torch.zeros(1, dtype=torch.long), torch.tensor([0.5])
    after = insta_rs.refresh(
        Sensitive(), x, y, before, sigma=0.5, first=False, levels=2, search_steps=0
    )
    assert after.item() == pytest.approx((0.5 + level) / 2)

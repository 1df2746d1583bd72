"""The noise ascent of CAT-RS: its geometry; and the state a network is in meanwhile."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rszoo.methods._attacks import ascend_noise, frozen

Array = NDArray[np.float64]
SHAPE = (3, 2, 1, 4, 4)  # m, B, C, H, W
PIXELS = 16


def rescaled(point: Array, original: Array) -> Array:
    """Give one image's noise the mean and (uncentred) size of the original, as CAT-RS does."""
    size = np.sqrt((original**2).mean()) / np.sqrt((point**2).mean())
    return original.mean() + size * (point - point.mean())


def ascend_by_hand(direction: Array, original: Array, steps: int, rho: float) -> Array:
    """The ascent for an objective that is linear, hence has one gradient everywhere."""
    moved = original
    for _ in range(steps):
        shift = moved + 2 * rho / steps * direction / np.linalg.norm(direction) - original
        if np.linalg.norm(shift) > rho:
            shift *= rho / np.linalg.norm(shift)
        moved = rescaled(original + shift, original)
    return moved


def noises() -> tuple[Tensor, Tensor]:
    return torch.randn(SHAPE), torch.randn(SHAPE)


def images(noise: Tensor) -> Tensor:
    return noise.flatten(0, 1).flatten(1)


@pytest.mark.parametrize("steps", [1, 2, 4, 7])
@pytest.mark.parametrize("rho", [0.1, 1.0, 30.0])
def test_the_ascent_of_a_linear_objective_step_by_step(steps: int, rho: float) -> None:
    noise, direction = noises()
    moved = ascend_noise(lambda e: (direction * e).sum(), noise, steps=steps, rho=rho)
    for got, one, towards in zip(images(moved), images(noise), images(direction), strict=True):
        expected = ascend_by_hand(towards.double().numpy(), one.double().numpy(), steps, rho)
        assert np.allclose(got, expected, atol=1e-5)


def test_no_steps_leave_the_noise_unchanged() -> None:
    noise, direction = noises()
    moved = ascend_noise(lambda e: (direction * e).sum(), noise, steps=0, rho=1.0)
    assert torch.equal(moved, noise)


@pytest.mark.parametrize("steps", [1, 4])
def test_every_copy_raises_a_linear_objective(steps: int) -> None:
    noise, direction = noises()
    direction -= direction.mean((2, 3, 4), keepdim=True)  # the mean is kept: nothing to win there
    moved = ascend_noise(lambda e: (direction * e).sum(), noise, steps=steps, rho=0.5)
    gained = images((moved - noise) * direction).sum(1) / images(direction).norm(dim=1)
    assert (gained > 0.35).all()  # of the 0.5 that the ball allows


def test_the_mean_is_kept() -> None:
    noise, direction = noises()
    moved = ascend_noise(lambda e: (direction * e).sum(), noise + 0.3, steps=4, rho=2.0)
    assert torch.allclose(images(moved).mean(1), images(noise).mean(1) + 0.3, atol=1e-6)


def test_the_size_is_kept_where_nothing_has_a_mean() -> None:
    noise, direction = noises()
    noise -= noise.mean((2, 3, 4), keepdim=True)
    direction -= direction.mean((2, 3, 4), keepdim=True)
    moved = ascend_noise(lambda e: (direction * e).sum(), noise, steps=4, rho=2.0)
    assert torch.allclose(images(moved).norm(dim=1), images(noise).norm(dim=1), rtol=1e-5)
    assert (images(moved - noise).norm(dim=1) > 0.5).all()


def test_steps_stay_in_the_ball_before_the_rescaling() -> None:
    # Along the noise itself a step is undone by the rescaling, so the shift is seen through it.
    noise, _ = noises()
    noise -= noise.mean((2, 3, 4), keepdim=True)
    direction = torch.randn(SHAPE)
    direction -= direction.mean((2, 3, 4), keepdim=True)
    along = (direction * noise).sum((2, 3, 4), keepdim=True)
    direction -= along / noise.square().sum((2, 3, 4), keepdim=True) * noise
    moved = ascend_noise(lambda e: (direction * e).sum(), noise, steps=1, rho=0.7)
    cosine = torch.cosine_similarity(images(moved), images(noise), dim=1)
    tangent = (1 / cosine.square() - 1).sqrt()  # rho / ||noise||: the step of 2 rho was cut
    assert torch.allclose(tangent * images(noise).norm(dim=1), torch.tensor(0.7), atol=1e-4)


def test_copies_and_images_move_on_their_own() -> None:
    noise, direction = noises()
    together = ascend_noise(lambda e: (direction * e).sum(), noise, steps=3, rho=1.0)
    one = direction[1:2, :1]
    alone = ascend_noise(lambda e: 100 * (one * e).sum(), noise[1:2, :1], steps=3, rho=1.0)
    assert torch.allclose(together[1:2, :1], alone, atol=1e-5)


def test_a_flat_objective_leaves_the_noise() -> None:
    noise, _ = noises()
    moved = ascend_noise(lambda e: (0 * e).sum(), noise, steps=4, rho=1.0)
    assert torch.allclose(moved, noise, atol=1e-6)


def test_the_result_carries_no_graph_and_the_noise_is_not_written_to() -> None:
    noise, direction = noises()
    before = noise.clone()
    moved = ascend_noise(lambda e: (direction * e).sum(), noise, steps=2, rho=1.0)
    assert not moved.requires_grad
    assert not noise.requires_grad
    assert torch.equal(noise, before)


def partly_frozen() -> nn.Sequential:
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.9), nn.Linear(4, 3))
    model[2].bias.requires_grad_(False)
    return model


@pytest.mark.parametrize("training", [True, False])
def test_frozen_and_back(training: bool) -> None:
    model = partly_frozen().train(training)
    before = {name: p.requires_grad for name, p in model.named_parameters()}
    with frozen(model):
        assert not any(module.training for module in model.modules())
        assert not any(p.requires_grad for p in model.parameters())
        with frozen(model):
            pass
        assert not any(p.requires_grad for p in model.parameters())
    assert all(module.training is training for module in model.modules())
    assert {name: p.requires_grad for name, p in model.named_parameters()} == before
    assert before == {"0.weight": True, "0.bias": True, "2.weight": True, "2.bias": False}


def test_frozen_ends_on_an_error() -> None:
    model = partly_frozen().train()
    with pytest.raises(ZeroDivisionError), frozen(model):
        raise ZeroDivisionError
    assert model.training
    assert [p.requires_grad for p in model.parameters()] == [True, True, True, False]


def test_an_attack_does_not_touch_statistics_or_gradients() -> None:
    model = partly_frozen().train()
    statistics = {name: value.clone() for name, value in model.state_dict().items()}
    noise = torch.randn(2, 5, 4)

    def objective(e: Tensor) -> Tensor:
        return model(e.flatten(0, 1)).square().sum()

    with frozen(model):
        moved = ascend_noise(objective, noise, steps=3, rho=1.0)
    assert not torch.equal(moved, noise)
    assert all(torch.equal(statistics[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())

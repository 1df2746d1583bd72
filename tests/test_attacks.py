"""The searches on linear objectives: their geometry; and the state a network is in meanwhile."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rszoo.methods._attacks import (
    ascend_images,
    ascend_noise,
    ascend_noise_on_sphere,
    descend_to_boundary,
    frozen,
    project,
)

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


def lengths(points: Tensor) -> Tensor:
    return points.flatten(1).norm(dim=1)


def test_projection_shortens_what_is_longer_and_nothing_else() -> None:
    shift = torch.tensor([[3.0, 4.0], [0.3, -0.4], [0.0, 0.0], [0.0, -2.0]])[:, :, None, None]
    expected = torch.tensor([[1.2, 1.6], [0.3, -0.4], [0.0, 0.0], [0.0, -2.0]])[:, :, None, None]
    assert torch.allclose(project(shift, 2.0), expected)
    assert torch.equal(project(shift, 0.0), torch.zeros_like(shift))


def test_projection_of_copies() -> None:
    shift = 3 * torch.randn(SHAPE)
    projected = project(shift, 12.0, batch_dims=2)
    assert torch.allclose(images(projected).norm(dim=1), images(shift).norm(dim=1).clamp(max=12))
    assert torch.allclose(projected.flatten(0, 1), project(shift.flatten(0, 1), 12.0))
    assert (images(shift).norm(dim=1) < 12).any()
    assert (images(shift).norm(dim=1) > 12).any()


def greys(pixels: int = PIXELS) -> tuple[Tensor, Tensor]:
    """Images in the middle of [0, 1], and a direction for each."""
    return 0.4 + 0.2 * torch.rand(5, 1, pixels // 4, 4), torch.randn(5, 1, pixels // 4, 4)


@pytest.mark.parametrize(("steps", "length"), [(1, 0.1), (4, 0.4), (10, 0.7)])
def test_images_move_along_a_linear_objective_as_far_as_the_ball(
    steps: int, length: float
) -> None:
    x, direction = greys()
    direction = direction.sign()  # so that no pixel gets to 0 or 1
    moved = ascend_images(
        lambda z: 7 * (direction * z).sum(), x, steps=steps, step_size=0.1, radius=0.7
    )
    assert torch.allclose(moved, x + length * direction / PIXELS**0.5, atol=1e-6)
    free = ascend_images(lambda z: (direction * z).sum(), x, steps=steps, step_size=0.1)
    assert torch.allclose(free, x + 0.1 * steps * direction / PIXELS**0.5, atol=1e-6)


def test_images_stop_at_the_ball() -> None:
    x, direction = greys()
    moved = ascend_images(lambda z: (direction * z).sum(), x, steps=5, step_size=0.1, radius=0.25)
    scale = 0.25 / lengths(direction)[:, None, None, None]
    assert torch.allclose(moved, x + scale * direction, atol=1e-6)


def test_images_stop_at_black_and_white() -> None:
    x, direction = greys()
    moved = ascend_images(lambda z: (direction * z).sum(), x, steps=2, step_size=1e5)
    assert torch.equal(moved, (direction > 0).float())


def test_images_are_clipped_first_and_projected_then() -> None:
    # By hand: the step of 1 along (3, 4) / 5 leads to (1.5, .8), clipping to (1, .8), the shift
    # of (.1, .8) has the length .65 ** .5. The other way round the first pixel would stay at 1.
    x = torch.tensor([0.9, 0.0]).view(1, 2, 1, 1)
    direction = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    moved = ascend_images(lambda z: (direction * z).sum(), x, steps=1, step_size=1.0, radius=0.5)
    scale = 0.5 / 0.65**0.5
    assert torch.allclose(moved.flatten(), torch.tensor([0.9 + 0.1 * scale, 0.8 * scale]))


def test_each_step_takes_the_gradient_where_it_is() -> None:
    # Of -|z - t|^2: straight to t, and at last around it.
    x, _ = greys()
    target = x + 0.01 * torch.randn_like(x)
    moved = ascend_images(lambda z: -(z - target).square().sum(), x, steps=30, step_size=0.01)
    assert (lengths(moved - target) <= 0.01).all()
    assert (lengths(x - target) > 0.02).all()


def test_an_image_without_a_gradient_does_not_move() -> None:
    x, direction = greys()
    direction[2] = 0
    moved = ascend_images(lambda z: (direction * z).sum(), x, steps=3, step_size=0.1, radius=1.0)
    assert torch.equal(moved[2], x[2])
    assert (lengths(moved - x)[[0, 1, 3, 4]] > 0.2).all()


@pytest.mark.parametrize("scale", [1e-37, 1e-25, 1e30])
def test_a_step_has_its_length_however_small_or_large_the_gradient_is(scale: float) -> None:
    x, direction = greys()
    direction = direction.sign()
    moved = ascend_images(
        lambda z: (scale * direction * z).sum(), x, steps=2, step_size=0.1, radius=1.0
    )
    assert torch.allclose(moved, x + 0.2 * direction / PIXELS**0.5, atol=1e-6)
    noise, along = noises()
    turned, usual = (
        ascend_noise_on_sphere(lambda e, k=k: (k * along * e).sum(), noise, steps=1, step_size=1)
        for k in (scale, 1.0)
    )
    assert torch.allclose(turned, usual, atol=1e-5)


@pytest.mark.parametrize("margin", [40.0, 54.0, 95.0])
def test_images_of_which_a_network_is_sure_move_no_farther_than_the_steps(margin: float) -> None:
    x, direction = greys()
    sure = margin * direction / (x * direction).flatten(1).sum(1).view(-1, 1, 1, 1)
    moved = ascend_images(
        lambda z: nn.functional.softplus(-(sure * z).flatten(1).sum(1)).sum(),
        x,
        steps=1,
        step_size=0.01,
    )
    assert (lengths(moved - x) <= 0.01 + 1e-6).all()
    if margin < 80:  # beyond, the gradient itself is 0 in float32
        assert (lengths(moved - x) >= 0.0099).all()


@pytest.mark.parametrize("steps", [1, 5])
def test_a_radius_of_zero_is_the_clean_case(steps: int) -> None:
    x, direction = greys()
    objective = half_space(direction, x, 0.1)
    still = [
        ascend_images(lambda z: objective(z)[0], x, steps=steps, step_size=0.1, radius=0.0),
        ascend_images(lambda z: objective(z)[0], x, steps=steps, step_size=0.0),
    ]
    for moved in still:
        assert torch.equal(moved, x)
    on = on_levels(x)
    assert torch.allclose(
        descend_to_boundary(half_space(direction, on, 0.0), on, steps=steps, radius=0.0), on
    )
    noise, along = noises()
    assert torch.allclose(
        ascend_noise(lambda e: (along * e).sum(), noise, steps=steps, rho=0.0), noise, atol=1e-6
    )
    turned = ascend_noise_on_sphere(lambda e: (along * e).sum(), noise, steps=steps, step_size=0.0)
    assert torch.allclose(turned, noise, atol=1e-6)


def test_noise_on_the_sphere_keeps_its_length() -> None:
    noise, direction = noises()
    moved = ascend_noise_on_sphere(lambda e: (direction * e).sum(), noise, steps=4, step_size=0.5)
    assert torch.allclose(images(moved).norm(dim=1), images(noise).norm(dim=1), rtol=1e-5)
    assert ((images(moved) * images(direction)).sum(1) > (images(noise * direction)).sum(1)).all()


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_noise_on_the_sphere_step_by_step(steps: int) -> None:
    noise, direction = noises()
    moved = ascend_noise_on_sphere(
        lambda e: (direction * e).sum(), noise, steps=steps, step_size=0.5
    )
    for got, one, towards in zip(images(moved), images(noise), images(direction), strict=True):
        expected, size = one.double().numpy(), one.double().norm().item()
        for _ in range(steps):
            expected = expected + 0.5 * towards.double().numpy() / towards.double().norm().item()
            expected = expected * size / np.linalg.norm(expected)
        assert np.allclose(got, expected, atol=1e-5)


def test_noise_on_the_sphere_turns_by_the_angle_of_the_step() -> None:
    # At a right angle to the noise: a step of s turns a noise of length r by atan(s / r).
    noise = torch.tensor([2.0, 0.0]).view(1, 1, 2, 1, 1)
    moved = ascend_noise_on_sphere(lambda e: e[:, :, 1].sum(), noise, steps=1, step_size=1.0)
    expected = 2 * torch.tensor([2.0, 1.0]) / 5**0.5
    assert torch.allclose(moved.flatten(), expected)


def test_noise_on_the_sphere_where_the_objective_is_flat() -> None:
    noise, direction = noises()
    direction[1] = 0
    noise[2, 0] = 0
    direction[2, 0] = 0
    moved = ascend_noise_on_sphere(lambda e: (direction * e).sum(), noise, steps=3, step_size=0.5)
    assert torch.allclose(moved[1], noise[1], atol=1e-6)
    assert torch.equal(moved[2, 0], noise[2, 0])
    assert (images((moved - noise)[0]).norm(dim=1) > 0.1).all()


def half_space(
    direction: Tensor, x: Tensor, distance: float
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return the objective of images that are wrong from a distance on, along a direction."""

    def objective(z: Tensor) -> tuple[Tensor, Tensor]:
        height = (direction * (z - x)).flatten(1).sum(1) / lengths(direction)
        return height.sum(), height.detach() >= distance

    return objective


def on_levels(x: Tensor) -> Tensor:
    return (x * 255).round() / 255


@pytest.mark.parametrize("distance", [0.2, 0.5])
def test_the_descent_ends_just_beyond_a_flat_boundary(distance: float) -> None:
    x, direction = greys()
    x, direction = on_levels(x), direction.sign()
    objective = half_space(direction, x, distance)
    found = descend_to_boundary(objective, x, steps=60, radius=1.0)
    # A norm that shrinks by 5 % comes so near, but for the rounding.
    assert (lengths(found - x) >= distance - 1e-5).all()
    assert (lengths(found - x) <= distance / 0.95 + PIXELS**0.5 / 510).all()
    cosine = torch.cosine_similarity((found - x).flatten(1), direction.flatten(1), dim=1)
    assert (cosine > 0.995).all()
    assert objective(found)[1].all()


def test_the_descent_is_cut_to_the_ball() -> None:
    x, direction = greys()
    x, direction = on_levels(x), direction.sign()
    found = descend_to_boundary(half_space(direction, x, 0.4), x, steps=40, radius=0.3)
    expected = on_levels(x + 0.3 * direction / PIXELS**0.5)
    assert torch.allclose(found, expected, atol=1.5 / 255)
    assert (lengths(found - x) <= 0.3 + PIXELS**0.5 / 510).all()
    assert (lengths(found - x) >= 0.3 - PIXELS**0.5 / 510).all()


def test_the_norm_grows_by_a_twentieth_until_the_image_is_wrong() -> None:
    # The norms at looks 2 and 3 are .1 * 1.05 and .1 * 1.05^2, rounded to 27 and 28 levels.
    x = torch.full((1, 1, 1, 1), 100 / 255)
    objective = half_space(torch.ones_like(x), x, 27.5 / 255)
    assert descend_to_boundary(objective, x, steps=2, radius=0.1).item() == x.item()
    third = descend_to_boundary(objective, x, steps=3, radius=0.1)
    assert third.item() * 255 == pytest.approx(100 + 26, abs=1e-3)  # 28, cut to 25.5


def test_the_norm_ends_at_the_far_corner() -> None:
    x, direction = greys()
    x = on_levels(x)
    farthest = torch.maximum(x, 1 - x)
    direction = torch.where(x > 0.5, -1.0, 1.0) * farthest
    seen: list[Tensor] = []

    def never(z: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(z.detach().clone())
        return (direction * z).sum(), torch.zeros(len(z), dtype=torch.bool)

    found = descend_to_boundary(never, x, steps=8, radius=50.0)
    assert torch.allclose(seen[-1], torch.where(x > 0.5, 0.0, 1.0), atol=1e-6)
    assert torch.allclose(found, x, atol=1e-6)


def test_an_image_that_is_wrong_from_the_start_stays() -> None:
    x, direction = greys()
    x = on_levels(x)
    found = descend_to_boundary(half_space(direction, x, 0.0), x, steps=10, radius=1.0)
    assert torch.allclose(found, x, atol=1e-6)


def test_the_smallest_is_kept_not_the_last() -> None:
    # The norms are 0, .315, .299, .284, .270, .284, .298: the fourth is the smallest wrong one.
    x = torch.zeros(1, 1, 1, 1)
    seen: list[float] = []

    def objective(z: Tensor) -> tuple[Tensor, Tensor]:
        at = z.detach().item()
        seen.append(at)
        wrong = len(seen) in (2, 3, 4, 7)
        return z.sum(), torch.tensor([wrong])

    found = descend_to_boundary(objective, x, steps=8, radius=0.3)
    assert found.item() == pytest.approx(seen[3], abs=1e-6)
    assert 0.27 < seen[3] < seen[6] - 2 / 255


def test_a_flat_objective_leaves_the_images_of_the_descent() -> None:
    x, _ = greys()
    x = on_levels(x)
    found = descend_to_boundary(
        lambda z: (0 * z.sum(), torch.ones(len(z), dtype=torch.bool)), x, steps=5, radius=1.0
    )
    assert torch.allclose(found, x, atol=1e-6)


def test_no_steps_leave_images_and_noise_unchanged() -> None:
    x, direction = greys()
    noise, towards = noises()
    x = on_levels(x)
    moved = ascend_images(lambda z: (direction * z).sum(), x, steps=0, step_size=1.0, radius=1.0)
    assert torch.equal(moved, x)
    found = descend_to_boundary(half_space(direction, x, 0.0), x, steps=0, radius=1.0)
    assert torch.allclose(found, x, atol=1e-6)
    turned = ascend_noise_on_sphere(lambda e: (towards * e).sum(), noise, steps=0, step_size=1.0)
    assert torch.equal(turned, noise)


def test_no_result_carries_a_graph_and_no_input_is_written_to() -> None:
    x, direction = greys()
    noise, towards = noises()
    before = x.clone(), noise.clone()
    results = [
        ascend_images(lambda z: (direction * z).sum(), x, steps=2, step_size=0.1, radius=0.1),
        ascend_noise_on_sphere(lambda e: (towards * e).sum(), noise, steps=2, step_size=0.1),
        descend_to_boundary(half_space(direction, x, 0.1), x, steps=4, radius=0.2),
    ]
    assert not any(result.requires_grad for result in results)
    assert not x.requires_grad
    assert not noise.requires_grad
    assert torch.equal(x, before[0])
    assert torch.equal(noise, before[1])


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


@pytest.mark.parametrize("steps", [0, 3])
def test_an_image_that_is_never_misclassified_is_not_even_rounded(steps: int) -> None:
    x = torch.full((1, 1, 1, 1), 0.3)  # 76.5 grey levels
    right = torch.zeros(1, dtype=torch.bool)
    found = descend_to_boundary(lambda z: (z.sum(), right), x, steps=steps, radius=1.0)
    assert torch.equal(found, x)

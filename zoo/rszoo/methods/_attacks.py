"""Adversarial search inside a training step, and the state a network is in meanwhile.

An objective maps points to a scalar, summed (not averaged) over images, so that the batch size
does not enter a gradient's length. Every search takes steps of a fixed length along it, or along
its sign; where the gradient is exactly zero, nothing moves.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from rszoo.networks.execution import evaluation_mode
from rszoo.networks.fused.attackable import Attackable

__all__ = [
    "ascend_images",
    "ascend_images_linf",
    "ascend_noise",
    "ascend_noise_on_sphere",
    "box",
    "descend_to_boundary",
    "frozen",
    "project",
    "warmed_up",
]

_TINY = 1e-30


@contextmanager
def frozen(model: nn.Module) -> Iterator[nn.Module]:
    """Put a network into eval mode with frozen parameters, and back; yield what attacks call.

    Batch statistics must not see the iterates of an attack, and no graph for the parameters'
    gradients is built. What is yielded is the network, or one of the same function, up to
    rounding, that evaluates it by fused kernels (`rszoo.networks.fused.attackable`).
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    with evaluation_mode(model):
        for parameter in trainable:
            parameter.requires_grad_(False)
        try:
            yield model.frozen() if isinstance(model, Attackable) else model
        finally:
            for parameter in trainable:
                parameter.requires_grad_(True)


def warmed_up(progress: float, warmup: float) -> float:
    """Return the share of its full radius that an attack has, which rises linearly from 0.

    Args:
        progress: share of the training that is done, in (0, 1].
        warmup: share of the training in which the radius rises; 0: it is whole from the start.
    """
    return min(1.0, progress / warmup) if warmup else 1.0


def project(shift: Tensor, radius: float | Tensor, *, batch_dims: int = 1) -> Tensor:
    """Return each shift, shortened to the L2 ball of a radius if it is longer."""
    return shift * (radius / _norm(shift, batch_dims).clamp(min=_TINY)).clamp(max=1.0)


def ascend_images(
    objective: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    steps: int,
    step_size: float | Tensor,
    radius: float | Tensor | None = None,
) -> Tensor:
    """Return images moved to raise an objective (SmoothAdv-PGD, Salman et al., 2019, section 2.2).

    Each step is followed by clipping to [0, 1] and then by projection to the ball. Projecting
    last is safe: shrinking a shift towards x, which is in [0, 1], cannot leave [0, 1].

    Args:
        objective: of images `[B, C, H, W]`.
        x: `[B, C, H, W]` in [0, 1].
        steps: gradient steps; 0 returns the images unchanged.
        step_size: L2 length of a step, in pixel units.
        radius: of the L2 ball around x, in pixel units; None for no limit.
    """

    def constrain(point: Tensor) -> Tensor:
        point = point.clamp(0.0, 1.0)
        return point if radius is None else x + project(point - x, radius)

    return _ascend(
        objective, x, steps=steps, step_size=step_size, constrain=constrain, direction=_unit
    )


def ascend_images_linf(
    objective: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    start: Tensor,
    steps: int,
    step_size: float | Tensor,
    budget: Tensor,
) -> Tensor:
    """Return images moved to raise an objective, no pixel by more than its own budget.

    The attack of adversarial training (Madry et al., 2018, https://arxiv.org/abs/1706.06083):
    steps along the sign of the gradient, each followed by clipping to the box of the budgets and
    to [0, 1]. The difference of the images, without rounding, is at most the budget.

    Args:
        objective: of images `[B, C, H, W]`.
        x: `[B, C, H, W]` in [0, 1].
        start: where the first gradient is taken, once clipped to [0, 1].
        steps: gradient steps, from 1.
        step_size: what a step changes each pixel by.
        budget: of each pixel, `[B, C, H, W]`.
    """
    low, high = box(x, budget)
    return _ascend(
        objective,
        start.clamp(0.0, 1.0),
        steps=steps,
        step_size=step_size,
        constrain=lambda point: point.clamp(low, high),
        direction=torch.sign,
    )


def box(x: Tensor, budget: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the largest image in [0, 1] that differ from x by at most a budget.

    Args:
        x: `[B, C, H, W]` in [0, 1].
        budget: of each pixel, of the same shape; the differences without rounding are within it.
    """
    exact, most = x.double(), budget.double()
    low = _rounded_up((exact - most).clamp(min=0.0), x.dtype)
    return low, -_rounded_up(-(exact + most).clamp(max=1.0), x.dtype)


def ascend_noise(
    objective: Callable[[Tensor], Tensor], noise: Tensor, *, steps: int, rho: float
) -> Tensor:
    """Return the noise moved to raise an objective, as CAT-RS does (Jeong et al., 2023).

    Each copy takes `steps` normalised gradient steps of length 2 rho / steps, each followed by a
    projection to the L2 ball of radius rho around the original noise, and by a rescaling that
    keeps its mean, and nearly keeps its root mean square (the authors divide by the uncentred
    one), so that it still looks like a Gaussian sample.

    Args:
        objective: of noise `[m, B, C, H, W]`.
        noise: `[m, B, C, H, W]`.
        steps: gradient steps; 0 returns the noise unchanged.
        rho: radius of the ball, in pixel units.
    """
    dims = tuple(range(2, noise.ndim))
    mean, size = noise.mean(dims, keepdim=True), _norm(noise, 2)

    def constrain(point: Tensor) -> Tensor:
        point = noise + project(point - noise, rho, batch_dims=2)
        return mean + size * (point - point.mean(dims, keepdim=True)) / _norm(point, 2)

    return _ascend(
        objective,
        noise,
        steps=steps,
        step_size=2 * rho / max(steps, 1),
        constrain=constrain,
        direction=partial(_unit, batch_dims=2),
    )


def ascend_noise_on_sphere(
    objective: Callable[[Tensor], Tensor], noise: Tensor, *, steps: int, step_size: float
) -> Tensor:
    """Return the noise moved to raise an objective, each copy as long as before.

    After Sun et al. (2025), https://github.com/eth-sri/acr-weakness. A copy whose part of the
    objective is flat stays where it is.

    Args:
        objective: of noise `[m, B, C, H, W]`.
        noise: `[m, B, C, H, W]`.
        steps: gradient steps; 0 returns the noise unchanged.
        step_size: L2 length of a step, in pixel units.
    """
    size = _norm(noise, 2)

    def constrain(point: Tensor) -> Tensor:
        return point * (size / _norm(point, 2).clamp(min=_TINY))

    return _ascend(
        objective,
        noise,
        steps=steps,
        step_size=step_size,
        constrain=constrain,
        direction=partial(_unit, batch_dims=2),
    )


def descend_to_boundary(
    objective: Callable[[Tensor], tuple[Tensor, Tensor]],
    x: Tensor,
    *,
    steps: int,
    radius: float,
) -> Tensor:
    """Return the nearest misclassified images that were found, within the ball around x.

    DDN, decoupled direction and norm (Rony et al., 2019, https://arxiv.org/abs/1811.09600), as
    Salman et al. (2019) use it: the norm of the shift grows by 5 % while an image is classified
    right and shrinks by 5 % once it is not. Shifts are rounded to 256 grey levels; the smallest
    adversarial one is kept, and projected to the ball. An image without any stays as it is.

    Args:
        objective: maps images `[B, C, H, W]` to a scalar to be raised, and to which images are
            misclassified, bool `[B]`.
        x: `[B, C, H, W]` in [0, 1].
        steps: gradient steps; 0 returns the images unchanged.
        radius: of the L2 ball around x, and the first norm, in pixel units.
    """
    shift, best = torch.zeros_like(x), torch.zeros_like(x)
    farthest = _norm(torch.maximum(x, 1.0 - x), 1)
    smallest = farthest.clone()
    length = torch.full_like(farthest, radius)
    for step in range(1, steps + 1):
        shift = shift.detach().requires_grad_()
        value, wrong = objective(x + shift)
        (gradient,) = torch.autograd.grad(value, shift)
        with torch.no_grad():
            wrong = wrong.view(-1, *[1] * (x.ndim - 1))
            nearer = wrong & (_norm(shift, 1) < smallest)
            best = torch.where(nearer, shift, best)
            smallest = torch.where(nearer, _norm(shift, 1), smallest)
            step_size = 0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2
            shift = shift + step_size * _unit(gradient)
            length = torch.minimum(torch.where(wrong, 0.95, 1.05) * length, farthest)
            shift = _rounded(x, _unit(shift) * length)
    found = _norm(best, 1) > 0
    return torch.where(found, x + _rounded(x, project(best, radius)), x)


def _rounded(x: Tensor, shift: Tensor) -> Tensor:
    """Return the shift that leads to the nearest of 256 grey levels in [0, 1]."""
    return ((x + shift) * 255).round().div(255).clamp(0.0, 1.0) - x


def _rounded_up(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the least numbers of a coarser type that are not below the values."""
    near = values.to(dtype)
    above = torch.nextafter(near, torch.full_like(near, math.inf))
    return torch.where(near.double() < values, above, near)


def _ascend(
    objective: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    steps: int,
    step_size: float | Tensor,
    constrain: Callable[[Tensor], Tensor],
    direction: Callable[[Tensor], Tensor],
) -> Tensor:
    point = start
    for _ in range(steps):
        point = point.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(objective(point), point)
        with torch.no_grad():
            point = constrain(point + step_size * direction(gradient))
    return point.detach()


def _norm(points: Tensor, batch_dims: int) -> Tensor:
    """Return the L2 norm over all but the first dimensions, which are kept as they are."""
    dims = tuple(range(batch_dims, points.ndim))
    return torch.linalg.vector_norm(points, dim=dims, keepdim=True)


def _unit(points: Tensor, batch_dims: int = 1) -> Tensor:
    """Return each point at length 1; the origin stays.

    Gradients of an image of which a network is sure are so small that their squares are 0 in
    float32, and so would be their norm: a power of two makes the largest entry 1/2 to 1 first.
    """
    dims = tuple(range(batch_dims, points.ndim))
    exponent = torch.frexp(points.abs().amax(dims, keepdim=True)).exponent
    points = points * torch.exp2(-exponent.clamp(min=-126).to(points.dtype))
    return points / _norm(points, batch_dims).clamp(min=0.5)

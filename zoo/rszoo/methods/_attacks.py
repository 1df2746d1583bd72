"""Adversarial search inside a training step, and the state a network is in meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from rszoo.networks.execution import evaluation_mode

__all__ = ["ascend_noise", "frozen"]


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Put a network into eval mode with frozen parameters, and back.

    Batch statistics must not see the iterates of an attack, and no graph for the parameters'
    gradients is built.
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    with evaluation_mode(model):
        for parameter in trainable:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in trainable:
                parameter.requires_grad_(True)


def ascend_noise(
    objective: Callable[[Tensor], Tensor], noise: Tensor, *, steps: int, rho: float
) -> Tensor:
    """Return the noise moved to raise an objective, as CAT-RS does (Jeong et al., 2023).

    Each copy takes `steps` normalised gradient steps of length 2 rho / steps, each followed by a
    projection to the L2 ball of radius rho around the original noise, and by a rescaling that
    keeps its mean, and nearly keeps its root mean square (the authors divide by the uncentred
    one), so that it still looks like a Gaussian sample.

    Args:
        objective: maps noise to a scalar, summed (not averaged) over images.
        noise: `[m, B, C, H, W]`.
        steps: gradient steps; 0 returns the noise unchanged.
        rho: radius of the ball, in pixel units.
    """
    dims = tuple(range(2, noise.ndim))

    def norm(t: Tensor) -> Tensor:
        return t.square().sum(dims, keepdim=True).sqrt()

    def rms(t: Tensor) -> Tensor:
        return t.square().mean(dims, keepdim=True).sqrt()

    mean, scale = noise.mean(dims, keepdim=True), rms(noise)
    moved = noise
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(objective(moved), moved)
        with torch.no_grad():
            step = moved + (2 * rho / steps) * gradient / (norm(gradient) + 1e-8)
            shift = step - noise
            shift = shift * (rho / norm(shift).clamp(min=1e-12)).clamp(max=1.0)
            step = noise + shift
            moved = mean + scale * (step - step.mean(dims, keepdim=True)) / rms(step)
    return moved.detach()

"""Plain readings of the original training code, one step of each method, for timing.

What the research code does, without its bookkeeping: float32, contiguous tensors, copies joined by
`torch.cat` or `repeat`, softmax and log apart. `insta_rs` has no original; it reads our loss.
Random numbers are drawn in the order in which rszoo draws them, so that losses can be compared.
"""

from types import MethodType

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Normal

from rszoo.networks.architectures import cifar_resnet
from rszoo.smoothing.noise import gaussian_copies

__all__ = ["LOSSES", "LeNet", "with_plain_layers"]


class LeNet(nn.Module):
    """The layers of `rszoo`'s LeNet in the order in which the authors apply them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 20, 5), nn.Conv2d(20, 50, 5)
        self.fc1, self.fc2 = nn.Linear(800, 500), nn.Linear(500, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def with_plain_layers(network: nn.Module) -> nn.Module:
    """Return `rszoo`'s CIFAR ResNet with the authors' forward passes: each layer by itself."""

    def block(self: cifar_resnet.BasicBlock, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.downsample(x), inplace=True)

    def whole(self: cifar_resnet.CifarResNet, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.avg_pool2d(self.layer3(self.layer2(self.layer1(x))), 8)
        return self.fc(x.flatten(1))

    forwards = {
        cifar_resnet.BasicBlock: block,
        cifar_resnet.CifarResNet: whole,
        cifar_resnet.Downsampling: nn.Sequential.forward,
    }
    for module in network.modules():
        if type(module) in forwards:
            module.forward = MethodType(forwards[type(module)], module)
    return network


def copies_of(x: Tensor, m: int, sigma: float) -> list[Tensor]:
    return [noise.contiguous() for noise in gaussian_copies(x, m, sigma)]


def attacked(model: nn.Module, on: bool) -> None:
    model.train(not on)
    for parameter in model.parameters():
        parameter.requires_grad_(not on)


def chunked(model: nn.Module, x: Tensor, noises: list[Tensor]) -> list[Tensor]:
    """Return the logits of every copy: one forward of all copies, then cut, as the authors do."""
    return list(model(torch.cat([x + noise for noise in noises])).chunk(len(noises)))


def gaussian(model: nn.Module, x: Tensor, y: Tensor, *, sigma: float) -> Tensor:
    return F.cross_entropy(model(x + copies_of(x, 1, sigma)[0]), y)


def stability(model: nn.Module, x: Tensor, y: Tensor, *, sigma: float, lambda_: float) -> Tensor:
    clean = model(x)
    noisy = model(x + copies_of(x, 1, sigma)[0])
    agreement = -(F.softmax(clean, 1) * F.log_softmax(noisy, 1)).sum(1)
    return F.cross_entropy(clean, y) + lambda_ * agreement.mean()


def smoothed_mistake(model: nn.Module, x: Tensor, noises: list[Tensor], y: Tensor) -> Tensor:
    softmax = torch.stack([F.softmax(z, 1) for z in chunked(model, x, noises)]).mean(0)
    return F.nll_loss(softmax.clamp(min=1e-20).log(), y, reduction="sum")


def ascend(
    model: nn.Module,
    x: Tensor,
    noises: list[Tensor],
    y: Tensor,
    *,
    steps: int,
    step_size: float,
    radius: float | None,
) -> Tensor:
    attacked(model, on=True)
    delta = torch.zeros_like(x)
    for _ in range(steps):
        delta.requires_grad_()
        (gradient,) = torch.autograd.grad(smoothed_mistake(model, x + delta, noises, y), delta)
        norm = gradient.view(len(x), -1).norm(dim=1).view(-1, 1, 1, 1)
        delta = delta.detach() + step_size * gradient / (norm + 1e-20)
        delta = (x + delta).clamp(0, 1) - x
        if radius is not None:
            delta = delta.renorm(p=2, dim=0, maxnorm=radius)
    attacked(model, on=False)
    return x + delta.detach()


def smoothadv(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    m: int,
    attack_steps: int,
    epsilon: float,
) -> Tensor:
    noises = copies_of(x, m, sigma)
    step_size = 2 * epsilon / attack_steps
    moved = ascend(model, x, noises, y, steps=attack_steps, step_size=step_size, radius=epsilon)
    return torch.stack([F.cross_entropy(z, y) for z in chunked(model, moved, noises)]).mean()


def regularised(logits: list[Tensor], y: Tensor, lambda_: float, eta: float) -> Tensor:
    softmax = [F.softmax(z, 1) for z in logits]
    mean = sum(softmax) / len(softmax)
    log_mean = mean.clamp(min=1e-20).log()
    entropy = -(mean * log_mean).sum(1)
    divergences = [F.kl_div(F.log_softmax(z, 1), mean, reduction="none").sum(1) for z in logits]
    classification = sum(F.cross_entropy(z, y) for z in logits) / len(logits)
    divergence = sum(divergences) / len(divergences)
    return classification + lambda_ * divergence.mean() + eta * entropy.mean()


def consistency(
    model: nn.Module, x: Tensor, y: Tensor, *, sigma: float, m: int, lambda_: float, eta: float
) -> Tensor:
    logits = chunked(model, x, copies_of(x, m, sigma))
    return regularised(logits, y, lambda_, eta)


def smoothadv_consistency(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    m: int,
    attack_steps: int,
    epsilon: float,
    lambda_: float,
    eta: float,
) -> Tensor:
    noises = copies_of(x, m, sigma)
    step_size = 2 * epsilon / attack_steps
    moved = ascend(model, x, noises, y, steps=attack_steps, step_size=step_size, radius=epsilon)
    return regularised(chunked(model, moved, noises), y, lambda_, eta)


def macer(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    m: int,
    lambda_: float,
    beta: float,
    gamma: float,
) -> Tensor:
    # Copies of one image lie next to each other here.
    noise = torch.stack(copies_of(x, m, sigma), 1)
    repeated = x.repeat_interleave(m, 0)
    logits = model(repeated + noise.flatten(0, 1)).view(len(x), m, -1)
    mean = F.softmax(logits, 2).mean(1)
    classification = F.nll_loss((mean + 1e-10).log(), y)
    sharp = F.softmax(logits * beta, 2).mean(1)
    (top, second), (label, _) = (part.unbind(1) for part in sharp.topk(2))
    normal = Normal(0.0, 1.0)
    xi = normal.icdf(top.detach()) - normal.icdf(second.detach())
    chosen = (label == y) & xi.isfinite() & (xi.abs() <= gamma)
    missing = gamma - (normal.icdf(top[chosen]) - normal.icdf(second[chosen]))
    return classification + lambda_ * sigma / 2 * missing.sum() / len(x)


def smoothmix(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    m: int,
    attack_steps: int,
    step_size: float,
    mix_step: int,
    eta: float,
) -> Tensor:
    noises = copies_of(x, m, sigma)
    near = ascend(model, x, noises, y, steps=mix_step, step_size=step_size, radius=None)
    rest = attack_steps - mix_step
    far = ascend(model, near, noises, y, steps=rest, step_size=step_size, radius=None)
    near = x + (near - x).renorm(p=2, dim=0, maxnorm=step_size * mix_step)
    logits = chunked(model, near, noises)
    mean = torch.stack([F.softmax(z, 1) for z in logits]).mean(0)
    classification = torch.stack([F.cross_entropy(z, y) for z in logits]).mean()
    u = (torch.rand(len(x)) / 2).view(-1, 1, 1, 1)
    target = (1 - u[:, 0, 0]) * mean + u[:, 0, 0] / mean.shape[1]
    mixed = chunked(model, (1 - u) * near + u * far, noises)
    divergence = torch.stack(
        [F.kl_div(F.log_softmax(z, 1), target, reduction="none").sum(1) for z in mixed]
    ).mean(0)
    return classification + eta * ((mean.argmax(1) == y) * divergence).mean()


def cat_rs(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    soft_targets: Tensor,
    *,
    sigma: float,
    m: int,
    attack_steps: int,
    rho: float,
    lambda_: float,
) -> Tensor:
    noises = copies_of(x, m, sigma)
    logits = chunked(model, x, noises)
    errors = torch.stack([F.cross_entropy(z, y, reduction="none") for z in logits])
    right = torch.stack([(z.argmax(1) == y).float() for z in logits]).mean(0)
    k = torch.binomial(torch.full_like(right, m), right).clamp(min=1)
    chosen = torch.arange(m).view(-1, 1) < k
    low = (errors.sort(0).values * chosen).sum(0) / m

    def divergences(moved: Tensor) -> Tensor:
        parts = chunked(model, x, list(moved.unbind(0)))
        return torch.stack(
            [F.kl_div(F.log_softmax(z, 1), soft_targets, reduction="none").sum(1) for z in parts]
        )

    attacked(model, on=True)
    first = torch.stack(noises)
    noise = first
    dims = (2, 3, 4)
    for _ in range(attack_steps):
        noise = noise.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(divergences(noise).sum() / m, noise)
        norm = gradient.square().sum(dims, keepdim=True).sqrt()
        noise = noise.detach() + 2 * rho / attack_steps * gradient / (norm + 1e-8)
        shift = noise - first
        shift = shift.flatten(0, 1).renorm(p=2, dim=0, maxnorm=rho).view_as(first)
        noise = first + shift
        scale = first.square().mean(dims, keepdim=True).sqrt()
        scale = scale / noise.square().mean(dims, keepdim=True).sqrt()
        mean = noise.mean(dims, keepdim=True)
        noise = first.mean(dims, keepdim=True) + scale * (noise - mean)
    attacked(model, on=False)
    high = (k == m) * divergences(noise.detach()).amax(0)
    return (low + lambda_ * high).mean()


def hard_dropping(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    m: int,
    attack_steps: int,
    step_size: float,
) -> Tensor:
    first = torch.cat(copies_of(x, m, sigma))
    images, labels = x.repeat(m, 1, 1, 1), y.repeat(m)
    attacked(model, on=True)
    noise = first
    size = first.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    for _ in range(attack_steps):
        noise = noise.detach().requires_grad_()
        logits = model(images + noise)
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), noise)
        norm = gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        moved = noise.detach() + step_size * gradient / (norm + 1e-20)
        moved = moved * size / moved.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        right = (logits.argmax(1) == labels).view(-1, 1, 1, 1)
        noise = torch.where(right, moved, noise.detach())
    attacked(model, on=False)
    return F.cross_entropy(model(images + noise.detach()), labels)


def insta_rs(
    model: nn.Module, x: Tensor, y: Tensor, sigmas: Tensor, *, sigma: float, m: int
) -> Tensor:
    del sigma
    level = sigmas.view(-1, 1, 1, 1)
    noises = [level * noise for noise in copies_of(x, m, 1.0)]
    return torch.stack([F.cross_entropy(z, y) for z in chunked(model, x, noises)]).mean()


#: Method -> one step's loss.
LOSSES = {
    function.__name__: function
    for function in (
        gaussian,
        stability,
        smoothadv,
        smoothadv_consistency,
        macer,
        consistency,
        smoothmix,
        cat_rs,
        hard_dropping,
        insta_rs,
    )
}

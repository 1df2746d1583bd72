"""What the tests of fused kernels share: networks, plans, and whether Triton is there."""

import os
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor, nn

from rszoo import networks
from rszoo.networks.fused.plan import IMAGES, Plan, Step

__all__ = [
    "EXACT",
    "NEEDS_TRITON",
    "PLANS",
    "distance",
    "drawn_plan",
    "resnet",
    "step",
    "with_statistics",
]

# CI does without nothing: there, what is missing is an error and no skip.
_REQUIRED = "triton" in os.environ.get("RSZOO_TESTS_NEED", "")

#: For tests that run kernels, on a GPU or in Triton's interpreter.
NEEDS_TRITON = pytest.mark.skipif(
    find_spec("triton") is None and not _REQUIRED, reason="Triton is not installed"
)

#: How far float32 may be off: it rounds by 6e-8, and a few hundred numbers are added up.
EXACT = 1e-5


def with_statistics(network: nn.Module) -> nn.Module:
    """Give batch normalisation of a network random statistics and weights; put it in eval mode."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.normal_(0.0, 0.2)
            layer.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0.0, 0.2)
    return network.eval()


class Statistics:
    """Of images that are far from standardised, so that what is padded with matters."""

    mean = (0.5, 0.4, 0.3)
    std = (0.2, 0.25, 0.3)


def resnet(shape: tuple[int, int, int] = (3, 8, 8), *, depth: int = 8) -> nn.Module:
    """Return a CIFAR ResNet with random weights, which standardises three channels."""
    known = Statistics() if shape[0] == 3 else None
    network = networks.build(
        "cifar_resnet", input_shape=shape, num_classes=4, normalization=known, depth=depth
    )
    return with_statistics(network)


def step(
    c: int,
    d: int,
    *,
    source: int,
    kernel: int = 3,
    stride: int = 1,
    shortcut: int | None = None,
    relu: bool = True,
) -> Step:
    """Return a convolution of c channels to d with random weights."""
    weight = torch.randn(d, c, kernel, kernel, dtype=torch.float64) * (2 / (c * kernel**2)) ** 0.5
    return Step(
        source=source,
        weight=weight,
        bias=torch.randn(d, dtype=torch.float64) * 0.2,
        stride=stride,
        shortcut=shortcut,
        relu=relu,
    )


def drawn_plan(*steps: Step, channels: int = 3) -> Plan:
    """Return the plan of steps behind a first convolution of images, which is step 0."""
    width = steps[0].weight.shape[1] if steps else 16
    first = step(channels, width, source=IMAGES)
    last = steps[-1].channels if steps else width
    return Plan(
        mean=torch.rand(channels, dtype=torch.float64),
        std=0.2 + torch.rand(channels, dtype=torch.float64),
        steps=(first, *steps),
        weight=torch.randn(5, last, dtype=torch.float64),
        bias=torch.randn(5, dtype=torch.float64),
    )


def distance(some: Tensor, others: Tensor) -> float:
    """Return the length of a difference as a share of the length of the second."""
    return float((some.float() - others.float()).norm() / others.float().norm())


#: What follows the first convolution, which is step 0, by name.
PLANS = {
    "images alone": lambda: [],
    "another convolution": lambda: [step(16, 32, source=0)],
    "stride 2": lambda: [step(32, 64, source=0, stride=2)],
    "stride 2, 1x1": lambda: [step(16, 32, source=0, stride=2, kernel=1, relu=False)],
    "1x1": lambda: [step(64, 16, source=0, kernel=1)],
    "without ReLU": lambda: [step(16, 16, source=0, relu=False)],
    "a shortcut": lambda: [step(16, 16, source=0, shortcut=0)],
    "a shortcut of another kind": lambda: [
        step(16, 32, source=0, stride=2),
        step(16, 32, source=0, stride=2, kernel=1, relu=False),
        step(32, 32, source=1, shortcut=2),
    ],
    # Shortcuts of He et al. (2016), option A: every second pixel, further channels zero.
    "zero padding": lambda: [
        step(16, 32, source=0, stride=2),
        replace(
            step(16, 32, source=0, stride=2, kernel=1, relu=False),
            weight=torch.eye(32, 16, dtype=torch.float64).view(32, 16, 1, 1),
            bias=torch.zeros(32, dtype=torch.float64),
        ),
        step(32, 32, source=1, shortcut=2),
    ],
    "a block": lambda: [step(16, 16, source=0), step(16, 16, source=1, shortcut=0)],
    "two wide blocks": lambda: [
        step(64, 64, source=0),
        step(64, 64, source=1, shortcut=0),
        step(64, 64, source=2),
        step(64, 64, source=3, shortcut=2),
    ],
    "a block whose input is read again": lambda: [
        step(32, 32, source=0),
        step(32, 32, source=1, shortcut=0),
        step(32, 32, source=2, shortcut=0),
    ],
    "a block whose middle is read again": lambda: [
        step(16, 16, source=0),
        step(16, 16, source=1, shortcut=0),
        step(16, 16, source=2, shortcut=1),
    ],
}
